/**
 * The long form of the oracle, run by hand: statements of PostgreSQL's own regression suite, as its server logged
 * them, against the database that the suite left behind.
 *
 *     npx tsx test/oracle/postgres/regression.ts postgres://postgres@127.0.0.1:5432/regression server.csv
 *
 * The log is a `csvlog` taken with `log_statement = all`. The run changes the database's privileges.
 * `BULKHEAD_ORACLE_SECONDS` ends it early.
 */
import { createReadStream } from 'node:fs'
import { Client } from 'pg'
import type { PostgresAnalyser } from '../../../protocols/postgres/analyser.ts'
import { openPostgresBackend } from '../../../src/backends/postgres.ts'
import { type Comparison, ExactGrantOracle } from './exact-grant.ts'

const [url = '', log = ''] = process.argv.slice(2)
const { hostname, port, username, password, pathname } = new URL(url)
const endsAtMs = Date.now() + Number(process.env['BULKHEAD_ORACLE_SECONDS'] ?? 86_400) * 1_000
const database = pathname.slice(1)

const backend = openPostgresBackend(
  {
    host: hostname,
    port: Number(port),
    user: username,
    password: password === '' ? undefined : decodeURIComponent(password),
    database,
    schema: 'public',
    tls: 'prefer',
    ca: undefined,
  },
  (notice) => console.error(notice.message),
)
await backend.start()
const analyser = backend.knowledge.current as PostgresAnalyser
const client = new Client({ connectionString: url, options: '-c search_path=public,pg_temp -c jit=off' })
client.on('error', (error) => console.error(error.message))
await client.connect()
const oracle = await ExactGrantOracle.prepare(client, analyser, `probe_${process.pid}`)

const counts = new Map<string, number>()
const reasons = new Map<string, number>()
const seen = new Set<string>()
for await (const statement of loggedStatements(log)) {
  if (seen.has(statement)) continue
  if (Date.now() > endsAtMs) break
  seen.add(statement)
  const comparison = await oracle.compare(statement)
  count(counts, comparison.kind)
  report(statement, comparison)
}
console.log(`${seen.size} distinct statements`, Object.fromEntries(counts))
for (const [reason, number] of [...reasons].sort(([, left], [, right]) => right - left)) {
  console.log(String(number).padStart(6), reason)
}
await client.end()
await backend.close()
if ((counts.get('miss') ?? 0) > 0) process.exitCode = 1

function report(statement: string, comparison: Comparison): void {
  if (comparison.kind === 'refused') {
    count(reasons, `${comparison.outcome}: ${comparison.why.replace(/`[^`]*`/g, '`…`')}`)
  } else if (comparison.kind === 'miss') {
    console.log(`MISS ${comparison.message}\n  ${statement}\n  ${JSON.stringify(comparison.accesses)}`)
  } else if (comparison.kind === 'hidden' && process.env['SHOW_HIDDEN'] !== undefined) {
    console.log(`HIDDEN ${comparison.message}\n  ${statement}`)
  }
}

function count(map: Map<string, number>, key: string): void {
  map.set(key, (map.get(key) ?? 0) + 1)
}

/** The statements of a csvlog: records whose message begins with `statement: `. */
async function* loggedStatements(file: string): AsyncGenerator<string> {
  for await (const fields of csvRecords(file)) {
    const message = fields[13]
    if (fields[2] === database && message?.startsWith('statement: '))
      yield message.slice('statement: '.length)
  }
}

async function* csvRecords(file: string): AsyncGenerator<readonly string[]> {
  let fields: string[] = []
  let field = ''
  let quoted = false
  let wasQuote = false
  for await (const chunk of createReadStream(file, 'utf8')) {
    for (const character of chunk as string) {
      if (wasQuote) {
        wasQuote = false
        if (character === '"') {
          field += '"'
          continue
        }
        quoted = false
      }
      if (quoted) {
        if (character === '"') wasQuote = true
        else field += character
      } else if (character === '"') quoted = true
      else if (character === ',') {
        fields.push(field)
        field = ''
      } else if (character === '\n') {
        fields.push(field)
        yield fields
        fields = []
        field = ''
      } else field += character
    }
  }
}
