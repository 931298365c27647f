/** `pg_dump -t` of a granted table, by the real program, and that what it writes can be restored. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { promisify } from 'node:util'
import { type PrivateShop, startPrivateShop } from './private-shop.ts'
import { fetchNewestPrograms, type Program, postgresPrograms } from './programs.ts'

const SCHEMA = `
  create type mood as enum ('sad', 'ok');
  create table customers (id serial primary key, name text, ssn text default 'sw0rdfish');
  create table orders (id serial primary key, customer_id int references customers (id), total numeric(10, 2) check (total > 0),
    note text, feeling mood default 'ok');
  create index orders_note on orders (lower(note)) where total > 5;
  comment on table orders is 'what was ordered';
  insert into customers (name) values ('ann'), ('bob');
  insert into orders (customer_id, total, note) values (1, 10, 'pen'), (2, 20, 'ink');
  alter table orders add column paid boolean default false;
  alter table customers add column tier text default 'sw0rdfish';`

if (process.env['BULKHEAD_LONG'] !== undefined) await fetchNewestPrograms()

for (const major of [15, 18]) {
  describe(`pg_dump, PostgreSQL ${major}`, () => {
    let shop: PrivateShop
    const programs = postgresPrograms('pg_dump').filter(({ version }) => version >= major)

    before(async () => {
      const allow = ['select on orders', 'select on sequence orders_id_seq', 'usage on type mood']
      shop = await startPrivateShop(major, SCHEMA, {
        dump: {
          system: 'shop',
          allow: [...allow, 'select on sequence customers_id_seq'],
          metadata: 'introspect',
        },
        blind: { system: 'shop', allow },
      })
    })
    after(() => shop?.stop())

    async function dump(program: Program, grant: string, ...words: string[]): Promise<string> {
      const { proxy, server } = shop
      const { host, port } = proxy.address('shop')
      const target = ['-h', host, '-p', String(port), '-U', grant, '-w', ...words, server.database]
      const { stdout } = await promisify(execFile)(program.file, [...program.before, ...target], {
        env: { PATH: process.env['PATH'], PGPASSWORD: await proxy.token(grant, grant), PGSSLMODE: 'disable' },
      })
      return stdout
    }

    for (const program of programs) {
      test(`pg_dump ${program.version} writes a granted table that can be restored`, async () => {
        const written = await dump(program, 'dump', '-t', 'orders')
        assert.match(written, /^COPY public\.orders /m)
        assert.ok(!written.includes('sw0rdfish'))
        // As INSERT, because a driver takes no copy data out of a text; nor psql's own commands. Older servers do not
        // have the setting.
        const statements = (await dump(program, 'dump', '-t', 'orders', '--inserts')).replace(
          /^(\\.*|SET transaction_timeout = 0;)$/gm,
          '',
        )
        const rows = async (): Promise<unknown> =>
          (await shop.administrator.query('select * from public.orders order by id')).rows
        const beforehand = await rows()
        await shop.administrator.query('drop table orders')
        await shop.administrator.query(statements)
        await shop.administrator.query('reset all')
        assert.deepEqual(await rows(), beforehand)
        const { rows: keys } = await shop.administrator.query(
          "select conname from pg_constraint where conrelid = 'orders'::regclass and contype in ('c', 'f', 'p')",
        )
        assert.equal(keys.length, 3)
      })

      test(`pg_dump ${program.version} of what is not granted is refused`, async () => {
        await assert.rejects(
          dump(program, 'dump', '-t', 'customers'),
          /permission denied for table customers/,
        )
        await assert.rejects(dump(program, 'dump'), /permission denied/)
        await assert.rejects(dump(program, 'blind', '-t', 'orders'), /permission denied/)
      })
    }
  })
}
