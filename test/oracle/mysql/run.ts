/**
 * The long form of the oracle, by hand:
 *
 *     npx tsx test/oracle/mysql/run.ts --port 3306 --password … FOLDER-WITH-TEST-FILES [files at most]
 *
 * Replays the definitions of each test file (as root), and holds every other statement against the server. Prints
 * how many were compared, what was refused by reason, and every miss; ends with 1 if there is one.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { MysqlAnalyser } from '../../../protocols/mysql/analyser.ts'
import { statementsOf } from './mysqltest.ts'
import { Prober } from './prober.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '3306' },
    user: { type: 'string', default: 'root' },
    password: { type: 'string', default: '' },
    verbose: { type: 'boolean', default: false },
    pattern: { type: 'string', default: '.' },
    name: { type: 'string', default: 'oracle' },
  },
})
const [folder = '.', filesMax = '1000000'] = positionals

/** Definitions that are replayed so that later statements have something to refer to. */
const DEFINITION =
  /^\s*(?:create|alter|drop|rename)\s+(?:or\s+replace\s+)?(?:algorithm\s*=\s*\w+\s+)?(?:table|view|index|unique|function|procedure|sequence)\b/i
const OUT_OF_BOUNDS =
  /\bdata\s+directory|outfile|\bengine\s*=\s*(?:federated|connect|spider|s3|mroonga)|mysql\./i

/** What would change the probing session itself, or end it (`COMMIT RELEASE`). */
const ONLY_PREPARED: ReadonlySet<string> = new Set(['lock', 'transaction', 'session'])

const target = { host: values.host, port: Number(values.port), user: values.user, password: values.password }
/** How long a server that a statement has ended may take to come back. */
const RESTART_MS = 60_000
let prober = await Prober.open(target, values.name)
const reasons = new Map<string, number>()
const why = new Map<string, number>()
const misses: string[] = []
let compared = 0
let accepted = 0
let refusedValid = 0
let total = 0
let inconclusive = 0
let brokenOff = 0
const pattern = new RegExp(values.pattern)
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.test') && pattern.test(name))
  .sort()
  .slice(0, Number(filesMax))
for (const file of files) {
  try {
    await compareFile(file)
  } catch (error) {
    // MariaDB 10.11 ends at some statements of its own suite; the rest of that file is not compared.
    brokenOff++
    console.log(`BROKEN OFF ${file}: ${error instanceof Error ? error.message : String(error)}`)
    prober = await reopened()
  }
}
await prober.close()
report()

async function reopened(): Promise<Prober> {
  const deadline = Date.now() + RESTART_MS
  for (;;) {
    await setTimeout(1_000)
    try {
      return await Prober.open(target, values.name)
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
  }
}

async function compareFile(file: string): Promise<void> {
  await prober.reset()
  let catalog = await prober.catalog()
  let analyser = new MysqlAnalyser(catalog)
  let isStale = false
  for (const statement of statementsOf(readFileSync(join(folder, file), 'latin1'))) {
    const isDefinition = DEFINITION.test(statement)
    if (isDefinition && OUT_OF_BOUNDS.test(statement)) continue
    if (isStale) {
      catalog = await prober.catalog()
      analyser = new MysqlAnalyser(catalog)
      isStale = false
    }
    total++
    const { analysis, forward } = analyser.read(Buffer.from(statement, 'latin1'), { ignoreSpace: false })
    if (analysis.outcome !== 'accesses') {
      reasons.set(analysis.outcome, (reasons.get(analysis.outcome) ?? 0) + 1)
      const key = `${analysis.outcome}: ${analysis.action}: ${('why' in analysis ? analysis.why : '').replace(/character \d+/, '')}`
      why.set(key, (why.get(key) ?? 0) + 1)
      if (values.verbose && analysis.outcome === 'not_understood')
        console.log(`REFUSED ${statement.slice(0, 300)}\n   ${analysis.why}`)
      refusedValid++
      // What other statements refer to is made all the same.
      if (isDefinition) isStale = (await prober.setUp(statement)) || isStale
      continue
    }
    if (analysis.action === 'prepare' || analysis.action === 'execute') continue
    compared++
    const probe = await prober.probe(
      forward.toString('utf8'),
      analysis.accesses,
      catalog,
      !ONLY_PREPARED.has(analysis.action),
    )
    if (analysis.action === 'ddl') isStale = true
    if (isDefinition && probe.errno !== 0) await prober.setUp(statement)
    if (probe.errno === 0) accepted++
    // What a routine does runs unseen; SQL SECURITY INVOKER has the server ask rights of the caller for it.
    const isInRoutine = analysis.accesses.some(({ kind }) => kind === 'routine')
    if (probe.isDenied && (!probe.isConclusive || isInRoutine)) inconclusive++
    else if (probe.isDenied) {
      misses.push(statement)
      console.log(
        `MISS ${file}: ${statement}\n   ${probe.errno} ${probe.message}\n   ${JSON.stringify(analysis.accesses)}`,
      )
    }
  }
}
function report(): void {
  console.log({
    files: files.length,
    brokenOff,
    total,
    compared,
    accepted,
    inconclusive,
    misses: misses.length,
    refused: refusedValid,
  })
  console.log([...reasons].sort((a, b) => b[1] - a[1]))
  for (const [text, count] of [...why].sort((a, b) => b[1] - a[1]).slice(0, 60)) console.log(count, text)
  process.exitCode = misses.length === 0 ? 0 : 1
}
