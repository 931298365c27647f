/**
 * Pipelines of raw messages, sent to the real server and through the wire: what comes back must be the same,
 * message by message, where nothing is refused; and where something is, the same as if the server itself had
 * refused it.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import fc from 'fast-check'
import type { Denial, Statement } from '../../../protocols/session.ts'
import { startPostgres } from '../../../src/demo/servers/postgres.ts'
import type { DatabaseServer } from '../../../src/demo/servers/server.ts'
import {
  bind,
  close,
  copyData,
  copyDone,
  copyFail,
  describe as describeMessage,
  execute,
  extended,
  flush,
  functionCall,
  parse,
  query,
  serverText,
  sync,
  terminate,
} from '../../protocols/postgres/messages.ts'
import { temporaryFolder } from '../../support/folders.ts'
import { type FreshDatabase, freshPostgresDatabase, postgresServer } from '../../support/servers.ts'
import { openWireProxy, type WireProxy } from './proxy.ts'
import { RawClient } from './raw-client.ts'

/** In a failed transaction a denial comes before `25P02`, and a syntax error stands for one. */
const alikeErrors = (bytes: Buffer): string => serverText(bytes).replace(/E\((42601|25P02)\)/g, 'E(42501)')

/**
 * An Execute of a portal that we do not know, or no longer, is refused with an error of ours where the server may have
 * another. Its place and its consequences are the same. Two cases: an Execute is judged when it is sent, not when it is
 * reached, and the portal of a refused statement may have died with its batch meanwhile (34000 to the server); and a
 * simple Query that failed in a transaction leaves the server an unnamed portal that nobody bound (34000 to us).
 */
function whereWeRefuse(native: string, proxied: string): string {
  const ours = proxied.split(' ')
  const refusals = ['E(34000)', 'E(42501)']
  return native
    .split(' ')
    .map((word, index) => {
      const own = ours[index] ?? ''
      return refusals.includes(word) && refusals.includes(own) ? own : word
    })
    .join(' ')
}

/** Refused by the judge, and a syntax error to the server. */
const REFUSED = 'refused refused'

/** Refused by the judge when it is executed; a function that raises an error to the server. */
const REFUSED_LATER = 'select later()'

/** The version that the machine has, and the newest one, which speaks protocol 3.2 to us. */
const SERVERS: readonly { readonly name: string; readonly start: () => Promise<DatabaseServer> }[] = [
  { name: 'the machine’s server', start: postgresServer },
  { name: 'PostgreSQL 18', start: () => startPostgres({ folder: temporaryFolder(), major: 18 }) },
]

const judge = ({ text, analysis, prepares }: Statement): Denial | undefined => {
  if (analysis.outcome !== 'accesses') {
    const nativeError = 'nativeError' in analysis ? analysis.nativeError : undefined
    return { reason: 'not_understood', message: 'no', ...(nativeError !== undefined && { nativeError }) }
  }
  const isRefused = text.includes('refused') || (text === REFUSED_LATER && prepares !== true)
  return isRefused ? { reason: 'not_granted', message: 'not in this grant' } : undefined
}

type Case = {
  readonly name: string
  readonly messages: readonly Buffer[]
  readonly ready: number
  readonly z?: string
}

const alike: readonly Case[] = [
  { name: 'a simple query', messages: [query('select 1')], ready: 1 },
  { name: 'an empty query', messages: [query('')], ready: 1 },
  {
    name: 'several statements',
    messages: [query('select 1; select 2; create temp table t (a int)')],
    ready: 1,
  },
  { name: 'an error in the middle', messages: [query('select 1; select 1/0; select 2')], ready: 1 },
  {
    name: 'pipelined simple queries',
    messages: [query('select 1'), query('select 1/0'), query('select 2')],
    ready: 3,
  },
  { name: 'an extended query', messages: [extended('select 1'), sync], ready: 1 },
  {
    name: 'describe of both kinds',
    messages: [parse('select 1'), describeMessage('S'), bind(), describeMessage('P'), execute(), sync],
    ready: 1,
  },
  {
    name: 'two batches at once',
    messages: [extended('select 1'), sync, extended('select 2'), sync],
    ready: 2,
  },
  {
    name: 'an error skips to Sync',
    messages: [extended('select 1/0'), extended('select 2'), sync, extended('select 3'), sync],
    ready: 2,
  },
  {
    name: 'a simple query in a batch that failed is skipped',
    messages: [extended('select 1/0'), query('select 2'), sync],
    ready: 1,
  },
  {
    name: 'a simple query between two halves of a batch',
    messages: [parse('select 1', 's'), query('select 2'), bind('s'), execute(), sync],
    ready: 2,
  },
  {
    name: 'a portal in pieces',
    messages: [
      parse('select generate_series(1,5)'),
      bind(),
      execute('', 2),
      execute('', 2),
      execute('', 2),
      sync,
    ],
    ready: 1,
  },
  {
    name: 'a named portal in pieces',
    messages: [
      parse('select generate_series(1,5)'),
      bind('', 'p'),
      execute('p', 2),
      execute('p', 2),
      execute('p', 2),
      sync,
    ],
    ready: 1,
  },
  {
    name: 'close of what is there and of what is not',
    messages: [parse('select 1', 's'), close('S', 's'), close('S', 'no'), close('P', 'no'), sync],
    ready: 1,
  },
  {
    name: 'a name used twice',
    messages: [parse('select 1', 's'), sync, parse('select 2', 's'), sync, bind('s'), execute(), sync],
    ready: 3,
  },
  { name: 'Bind to a name that does not exist', messages: [bind('nobody'), execute(), sync], ready: 1 },
  { name: 'Execute of a portal that does not exist', messages: [execute('nobody'), sync], ready: 1 },
  {
    name: 'Describe of a statement that does not exist',
    messages: [describeMessage('S', 'nobody'), sync],
    ready: 1,
  },
  {
    name: 'Describe of a portal that does not exist',
    messages: [describeMessage('P', 'nobody'), sync],
    ready: 1,
  },
  {
    name: 'a portal after the end of its transaction',
    messages: [parse('select 1'), bind('', 'p'), sync, execute('p'), sync],
    ready: 2,
  },
  {
    name: 'a Query destroys the unnamed statement',
    messages: [parse('select 1'), sync, query('select 2'), bind(), execute(), sync],
    ready: 3,
  },
  {
    name: 'SQL PREPARE and protocol Bind',
    messages: [query('prepare sp as select 1'), bind('sp'), execute(), sync],
    ready: 2,
  },
  {
    name: 'protocol Parse and SQL EXECUTE',
    messages: [
      parse('select 1', 'pp'),
      sync,
      query('execute pp'),
      query('deallocate pp'),
      query('execute pp'),
    ],
    ready: 4,
  },
  {
    name: 'SQL PREPARE and EXECUTE in one text',
    messages: [query('prepare a as select 1; execute a; deallocate a')],
    ready: 1,
  },
  {
    name: 'SQL PREPARE and EXECUTE in one batch',
    messages: [extended('prepare b as select 1'), extended('execute b'), sync],
    ready: 1,
  },
  {
    name: 'a SQL cursor',
    messages: [
      query('begin'),
      query('declare c cursor for select 1'),
      query('fetch 1 from c'),
      execute('c'),
      sync,
      query('close c'),
      query('commit'),
    ],
    ready: 6,
  },
  {
    name: 'a cursor declared and fetched in one text',
    messages: [query('begin; declare d cursor for select 1; fetch 1 from d; commit')],
    ready: 1,
  },
  {
    name: 'DISCARD ALL forgets',
    messages: [parse('select 1', 'x'), sync, query('discard all'), bind('x'), sync],
    ready: 3,
  },
  { name: 'COPY out', messages: [query('copy (select 1) to stdout'), query('select 2')], ready: 2 },
  {
    name: 'COPY out in the extended protocol',
    messages: [extended('copy (select 1) to stdout'), extended('select 2'), sync],
    ready: 1,
  },
  {
    name: 'COPY in',
    messages: [
      query('create temp table t (a int)'),
      query('copy t from stdin'),
      copyData('1\n'),
      copyDone,
      query('table t'),
    ],
    ready: 3,
  },
  {
    name: 'COPY in in the extended protocol, Sync in the middle',
    messages: [
      query('create temp table t (a int)'),
      extended('copy t from stdin'),
      sync,
      copyData('1\n'),
      sync,
      copyData('2\n'),
      copyDone,
      sync,
      query('table t'),
    ],
    ready: 3,
  },
  {
    name: 'COPY in that fails by the client',
    messages: [
      query('create temp table t (a int)'),
      query('copy t from stdin'),
      copyFail('why'),
      query('select 1'),
    ],
    ready: 3,
  },
  {
    name: 'COPY in that fails by the data',
    messages: [
      query('create temp table t (a int)'),
      query('copy t from stdin'),
      copyData('x\n'),
      copyData('1\n'),
      copyDone,
      query('select 1'),
    ],
    ready: 3,
  },
  {
    name: 'COPY in that fails by the data, extended',
    messages: [
      query('create temp table t (a int)'),
      extended('copy t from stdin'),
      copyData('x\n'),
      copyData('1\n'),
      copyDone,
      sync,
      query('select 1'),
    ],
    ready: 3,
  },
  {
    name: 'COPY in among other statements',
    messages: [
      query('create temp table t (a int); copy t from stdin; select 77'),
      copyData('1\n'),
      copyDone,
      query('select 1'),
    ],
    ready: 2,
  },
  {
    name: 'two COPYs in one text',
    messages: [
      query('create temp table t (a int); copy t from stdin; copy t from stdin'),
      copyData('1\n'),
      copyDone,
      copyData('2\n'),
      copyDone,
      query('table t'),
    ],
    ready: 2,
  },
  {
    name: 'copy messages outside a copy',
    messages: [copyData('x'), copyDone, copyFail('x'), query('select 1')],
    ready: 1,
  },
  {
    name: 'a COPY that cannot begin',
    messages: [query('copy nothing from stdin'), copyData('1\n'), copyDone, query('select 1')],
    ready: 2,
  },
  {
    name: 'a COPY that cannot begin, extended',
    messages: [extended('copy nothing from stdin'), copyData('1\n'), copyDone, sync, query('select 1')],
    ready: 2,
  },
  {
    name: 'a notice',
    messages: [query('set client_min_messages = debug1; drop table if exists nothing')],
    ready: 1,
  },
  {
    name: 'savepoints',
    messages: [
      query('begin'),
      query('savepoint s'),
      query('select 1/0'),
      query('rollback to s'),
      query('select 1'),
      query('commit'),
    ],
    ready: 6,
  },
  { name: 'a statement without a NUL at its end', messages: [Buffer.from('Q\0\0\0\x0cselect 1')], ready: 1 },
  { name: 'a statement with a NUL inside', messages: [query('select 1\0; select 2')], ready: 1 },
  { name: 'Terminate', messages: [query('select 1'), terminate], ready: 1 },
  { name: 'Sync alone', messages: [sync, sync, sync], ready: 3 },
]

/** `DENIED` stands for a statement that raises 42501: the server's own privilege error, or ours. */
const denied: readonly (Case & { readonly build: (refused: string) => readonly Buffer[] })[] = [
  row('a query', 1, (no) => [query(no)]),
  row('among pipelined queries', 3, (no) => [query('select 1'), query(no), query('select 2')]),
  row('in an extended batch', 1, (no) => [extended('select 1'), extended(no), extended('select 2'), sync]),
  row('first in a batch', 2, (no) => [extended(no), extended('select 2'), sync, extended('select 3'), sync]),
  row('last in a batch', 2, (no) => [extended('select 2'), extended(no), sync, extended('select 3'), sync]),
  row('in a transaction', 4, (no) => [query('begin'), query(no), query('rollback'), query('select 1')]),
  row('in a transaction, extended', 4, (no) => [
    query('begin'),
    extended(no),
    sync,
    query('rollback'),
    query('select 1'),
  ]),
  row('in a transaction, then another statement', 5, (no) => [
    query('begin'),
    query(no),
    query('select 1'),
    query('commit'),
    query('select 1'),
  ]),
  row('under a savepoint', 6, (no) => [
    query('begin'),
    query('savepoint s'),
    query(no),
    query('rollback to s'),
    query('select 1'),
    query('commit'),
  ]),
  row('after an error in the same batch', 1, (no) => [extended('select 1/0'), extended(no), sync]),
  row('a simple query inside a batch', 2, (no) => [parse('select 1'), query(no), sync]),
  row('earlier work of the batch is rolled back', 2, (no) => [
    extended('create temp table gone (a int)'),
    extended(no),
    sync,
    query("select to_regclass('gone') is null"),
  ]),
]

function row(
  name: string,
  ready: number,
  build: (refused: string) => readonly Buffer[],
): Case & { build: typeof build } {
  return { name, ready, build, messages: [] }
}

for (const { name: version, start } of SERVERS) {
  describe(`pipelines, ${version}`, () => {
    let instance: DatabaseServer
    let server: FreshDatabase
    let proxy: WireProxy
    let login: { user: string; password: string; database: string }

    before(async () => {
      instance = await start()
      server = await freshPostgresDatabase(instance)
      const { port, user, password = '', database } = server
      login = { user, password, database }
      const serverVersionNum = Number.parseInt(server.version, 10) * 10_000
      proxy = await openWireProxy({
        backend: { port, user, password, database },
        judge,
        serverVersionNum,
      })
    })

    after(async () => {
      await proxy.close()
      await server.drop()
      await instance.stop()
    })

    /** The same messages to the server itself and through the wire. */
    const both = async (
      messages: readonly Buffer[],
      ready: number,
    ): Promise<{ native: string; proxied: string }> => {
      const direct = await RawClient.login(server.port, login)
      const through = await RawClient.login(proxy.port, login)
      direct.send(...messages)
      const native = await direct.read('Z', ready)
      through.send(...messages)
      const proxied = await through.read('Z', ready)
      assert.equal(`${await direct.quiet(20)}|${await through.quiet(20)}`, '|', 'nothing more came')
      direct.end()
      through.end()
      return { native, proxied }
    }

    for (const { name, messages, ready } of alike) {
      test(`the server's own replies: ${name}`, async () => {
        const { native, proxied } = await both(messages, ready)
        assert.equal(proxied, native)
      })
    }

    for (const { name, ready, build } of denied) {
      test(`a refused statement is answered in its place: ${name}`, async () => {
        const direct = await RawClient.login(server.port, login)
        // A server raises a privilege error at Bind or Execute, and we at Parse: ParseComplete (and BindComplete) are
        // the difference. A type that does not exist fails at Parse.
        direct.send(...build('select null::refused'))
        const native = (await direct.read('Z', ready)).replaceAll('E(42704)', 'E(42501)')
        const through = await RawClient.login(proxy.port, login)
        through.send(...build('select null::refused'))
        assert.equal(await through.read('Z', ready), native)
        assert.equal(await through.quiet(30), '')
        direct.end()
        through.end()
      })
    }

    test('the portal that a failed simple Query leaves in its transaction cannot be executed', async () => {
      const failing = query('select 1/g from generate_series(0, 1) g')
      const { native, proxied } = await both(
        [query('begin'), failing, execute(''), sync, query('rollback')],
        4,
      )
      assert.equal(native, 'C(BEGIN) Z(T) T E(22012) Z(E) E(25P02) Z(E) C(ROLLBACK) Z(I)')
      assert.equal(proxied, 'C(BEGIN) Z(T) T E(22012) Z(E) E(34000) Z(E) C(ROLLBACK) Z(I)')
    })

    test('FunctionCall is refused in its place', async () => {
      const client = await RawClient.login(proxy.port, login)
      client.send(query('select 1'), functionCall(1), query('select 2'))
      assert.equal(await client.read('Z', 3), 'T D C(SELECT 1) Z(I) E(42501) Z(I) T D C(SELECT 1) Z(I)')
      client.end()
    })

    test('Flush brings what was answered, denials too', async () => {
      const client = await RawClient.login(proxy.port, login)
      client.send(parse('select 1'), describeMessage('S'), flush)
      assert.equal(await client.read('T'), '1 t T')
      client.send(parse('refused'), flush)
      assert.equal(await client.read('E'), 'E(42501)')
      client.send(parse('select 1'), sync)
      assert.equal(await client.read('Z'), 'Z(I)')
      client.end()
    })

    test('a notification comes between messages', async () => {
      const listener = await RawClient.login(proxy.port, login)
      const other = await RawClient.login(server.port, login)
      listener.send(query('listen wire'))
      assert.equal(await listener.read(), 'C(LISTEN) Z(I)')
      other.send(query("notify wire, 'hello'"))
      assert.equal(await listener.read('A'), 'A')
      listener.send(query('select 1'))
      assert.equal(await listener.read(), 'T D C(SELECT 1) Z(I)')
      listener.end()
      other.end()
    })

    test('random pipelines with refusals anywhere', async () => {
      const admin = await RawClient.login(server.port, login)
      admin.send(
        query(
          `create or replace function later() returns int language plpgsql as $$ begin raise insufficient_privilege; end $$`,
        ),
      )
      assert.equal(await admin.read(), 'C(CREATE FUNCTION) Z(I)')
      admin.end()
      // The server is sent a text that it cannot parse where we refuse one: its error has the same consequences.
      const text = fc.constantFrom(
        'select 1',
        // Fails when it runs. What fails in Bind leaves PostgreSQL 15 an empty portal, which we do not know.
        'select 1/g from generate_series(0, 1) g',
        'select generate_series(1, 5)',
        REFUSED,
        'begin',
        'commit',
        'rollback',
        'savepoint a',
        'rollback to a',
        'copy (select 1) to stdout',
        'set application_name = x',
      )
      const parsed = fc.oneof(
        { weight: 5, arbitrary: text },
        { weight: 1, arbitrary: fc.constant(REFUSED_LATER) },
      )
      const name = fc.constantFrom('', 's', 't')
      const portal = fc.constantFrom('', 'p')
      const message = fc.oneof(
        { weight: 3, arbitrary: fc.tuple(parsed, name).map(([sql, as]) => parse(sql, as)) },
        { weight: 4, arbitrary: fc.tuple(name, portal).map(([as, to]) => bind(as, to)) },
        { weight: 4, arbitrary: fc.tuple(portal, fc.nat(2)).map(([from, rows]) => execute(from, rows)) },
        { weight: 4, arbitrary: parsed.map((sql) => extended(sql)) },
        { weight: 3, arbitrary: text.map(query) },
        { weight: 3, arbitrary: fc.constant(sync) },
        { weight: 1, arbitrary: fc.constant(flush) },
        { weight: 1, arbitrary: name.map((of) => describeMessage('S', of)) },
        { weight: 1, arbitrary: portal.map((of) => describeMessage('P', of)) },
        { weight: 1, arbitrary: name.map((of) => close('S', of)) },
        { weight: 1, arbitrary: fc.constant(copyDone) },
      )
      await fc.assert(
        fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 25 }), async (messages) => {
          const direct = await RawClient.login(server.port, login)
          const through = await RawClient.login(proxy.port, login)
          const end = query("select 'the end of it'")
          for (const client of [direct, through]) client.send(...messages, sync, query('rollback'), end)
          const native = alikeErrors(await direct.untilRow('the end of it'))
          const proxied = alikeErrors(await through.untilRow('the end of it'))
          direct.end()
          through.end()
          // PostgreSQL 18 answers `StartTransactionCommand: unexpected state STARTED` to the first message after a
          // batch that held a simple Query, whatever it is.
          if (!`${native}${proxied}`.includes('E(XX000)'))
            assert.equal(proxied, whereWeRefuse(native, proxied))
        }),
        { numRuns: Number(process.env['BULKHEAD_LIVE_RUNS'] ?? 80) },
      )
    })
  })
}
