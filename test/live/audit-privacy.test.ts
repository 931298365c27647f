/** What an audit log that must hold no data holds of statements: nothing that an agent wrote as a value, whatever it tried. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, describe, test } from 'node:test'
import type { AuditRecord, TestProxy } from '../support/proxy.ts'
import { useTrio } from '../support/trio.ts'

/** A value that no record may hold. Digits too, for literals that are numbers. */
const SECRET = 'S3kr3t'
const NUMBER = '90210733'

/** Allowed, denied, hops, not understood, torn in the middle of a literal: whatever a text can be. */
const POSTGRES = [
  `select '${SECRET}', ${NUMBER}`,
  `select id from orders where note = '${SECRET}' and id = ${NUMBER}`,
  `select $tag$${SECRET}$tag$, E'\\'${SECRET}', U&'${SECRET}' -- ${SECRET}`,
  `select /* ${SECRET} /* ${SECRET} */ ${NUMBER} */ 1`,
  `select secret from orders where secret = '${SECRET}'`,
  `insert into orders (note) values ('${SECRET}')`,
  `select pg_read_file('/${SECRET}')`,
  `copy orders to '/tmp/${SECRET}'`,
  `copy orders to program 'curl ${SECRET}'`,
  `select * from dblink('host=${SECRET}', 'select 1') as t(a int)`,
  `do $$ begin perform '${SECRET}'; end $$`,
  `set application_name = '${SECRET}'`,
  `set search_path = '${SECRET}'`,
  `alter system set archive_command = '${SECRET}'`,
  `create user someone password '${SECRET}'`,
  `select '${SECRET}`,
  `select $x$ ${SECRET}`,
  `selec '${SECRET}'`,
  `select cast('${SECRET}' as nothing)`,
  `select lo_import('/${SECRET}')`,
  `notify news, '${SECRET}'`,
  `select pg_sleep('${SECRET}')`,
  `prepare p as select '${SECRET}'`,
  `execute p('${SECRET}')`,
]

const MYSQL = [
  `select '${SECRET}', ${NUMBER}, "${SECRET}", 0x${Buffer.from(SECRET).toString('hex')}`,
  `select id from orders where note = '${SECRET}' and id = ${NUMBER}`,
  `select secret from orders where secret = "${SECRET}"`,
  `insert into orders (note) values ('${SECRET}')`,
  `select load_file('/${SECRET}')`,
  `select 1 into outfile '/tmp/${SECRET}'`,
  `load data infile '/${SECRET}' into table orders`,
  `select 1 /*! , '${SECRET}' */ # ${SECRET}`,
  `set @x = '${SECRET}'`,
  `set password = password('${SECRET}')`,
  `prepare p from '${SECRET}'`,
  `select '${SECRET}`,
  `selec "${SECRET}"`,
  `create user someone identified by '${SECRET}'`,
  `call nothing('${SECRET}')`,
  `select _utf8mb4'${SECRET}', N'${SECRET}', '${SECRET}' '${SECRET}'`,
  `do sleep('${SECRET}')`,
  `execute immediate '${SECRET}'`,
]

const REDIS: readonly (readonly string[])[] = [
  ['set', 'k:1', SECRET],
  ['get', 'other'],
  ['mset', 'k:1', SECRET, 'k:2', NUMBER],
  ['lpush', 'other', SECRET],
  ['eval', `return '${SECRET}'`, '0'],
  ['auth', 'default', SECRET],
  ['config', 'set', 'requirepass', SECRET],
  ['acl', 'setuser', 'someone', `>${SECRET}`],
  ['migrate', SECRET, '6379', 'k:1', '0', '10', 'AUTH', SECRET],
  ['setex', 'k:1', NUMBER, SECRET],
  ['xadd', 'k:s', '*', 'field', SECRET],
  [SECRET, SECRET],
  ['set', 'k:1'],
  ['client', 'setname', SECRET],
  ['echo', SECRET],
  ['script', 'load', `return '${SECRET}'`],
  ['publish', 'news', SECRET],
]

const ORDERS = ['create table orders (id int primary key, note varchar(100), secret varchar(100))']

const trio = useTrio({ shop: ORDERS, crm: ORDERS })

for (const statementText of ['redacted', 'none', 'full'] as const) {
  describe(`with statement_text: ${statementText}`, () => {
    let proxy: TestProxy
    let records: readonly AuditRecord[]

    before(async () => {
      proxy = await trio.startProxy({
        grants: {
          shop: { system: 'shop', allow: ['select (id, note), insert on orders'] },
          crm: { system: 'crm', allow: ['select (id, note), insert on orders'] },
          carts: { system: 'carts', allow: ['+@read +@write ~k:*'] },
        },
        audit: { statement_text: statementText },
      })
      await sendEverything(proxy)
      records = proxy.records().filter(({ event }) => event === 'statement')
    })

    test('every statement that was sent has its record', () => {
      const of = (system: string): number => records.filter((record) => record['system'] === system).length
      assert.ok(of('shop') >= POSTGRES.length, `${of('shop')} of PostgreSQL`)
      assert.ok(of('crm') >= MYSQL.length, `${of('crm')} of MariaDB`)
      assert.ok(of('carts') >= REDIS.length - 1, `${of('carts')} of Redis`)
      assert.ok(proxy.records().some(({ event }) => event === 'hop'))
    })

    if (statementText === 'full') {
      test('their texts are in the log, as they were sent', () => {
        const texts = records.map((record) => record['statement'])
        assert.ok(texts.includes(POSTGRES[1]))
        assert.ok(texts.includes(MYSQL[1]))
        assert.ok(texts.includes(`set k:1 ${SECRET}`))
      })
      return
    }

    test('no value of any statement is in the log', () => {
      const lines = readFileSync(proxy.auditFile, 'utf8').split('\n')
      const leaking = lines.filter((line) => new RegExp(`${SECRET}|${NUMBER}`, 'i').test(line))
      assert.deepEqual(leaking, [])
      const hex = Buffer.from(SECRET).toString('hex')
      assert.deepEqual(
        lines.filter((line) => line.includes(hex)),
        [],
      )
    })

    test('names and keys are still there to be searched', () => {
      const resources = JSON.stringify(records.map((record) => record['accesses']))
      assert.match(resources, /public\.orders\(/)
      assert.match(resources, /W~k:1/)
    })

    if (statementText === 'redacted') {
      test('a statement keeps its shape', () => {
        const shapes = records.map((record) => String(record['statement']))
        assert.ok(
          shapes.some((shape) => /^select id from orders where note = \? and id = \?$/.test(shape)),
          shapes.join('\n'),
        )
        assert.ok(shapes.includes('set k:1 ?'))
      })
    } else {
      test('no statement has a text', () => {
        assert.ok(records.every((record) => record['statement'] === undefined))
      })
    }
  })
}

/** What comes of each statement does not matter here. */
const whatever = (): void => undefined

async function sendEverything(proxy: TestProxy): Promise<void> {
  const shop = await trio.connectShop(proxy, 'r-1')
  shop.on('error', whatever)
  for (const statement of POSTGRES) await shop.query(statement).catch(whatever)
  await shop.query('select id from orders where note = $1', [SECRET]).catch(whatever)
  await shop.end()
  const crm = await trio.connectCrm(proxy, 'r-1')
  crm.on('error', whatever)
  for (const statement of MYSQL) await crm.query(statement).catch(whatever)
  await crm.execute('select id from orders where note = ?', [SECRET]).catch(whatever)
  await crm.end()
  const redis = await trio.connectCarts(proxy, 'r-1')
  for (const [command = '', ...args] of REDIS) await redis.call(command, ...args).catch(whatever)
  redis.disconnect()
}
