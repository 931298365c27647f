import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, readdirSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { loaderOptions, moduleUrl } from '../support/child.ts'
import { temporaryFolder } from '../support/folders.ts'

/** The demo with a temporary folder of its own, so that what it leaves behind can be seen. */
function startDemo(options: readonly string[]): { readonly child: ChildProcess; readonly folder: string } {
  const folder = temporaryFolder()
  // As root the servers run under other accounts, which must be able to enter.
  chmodSync(folder, 0o755)
  const args = [...loaderOptions(), fileURLToPath(moduleUrl('src/cli')), 'demo', ...options]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return { child, folder }
}

async function outputOf(child: ChildProcess): Promise<{ readonly output: string; readonly errors: string }> {
  if (child.stdout === null || child.stderr === null) throw new Error('no pipes')
  const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { output, errors }
}

test('the demo with --once ends with every attempt as expected, and leaves nothing behind', async () => {
  const { child, folder } = startDemo(['--once'])
  const { output, errors } = await outputOf(child)
  assert.equal(child.exitCode, 0, `${output}\n${errors}`)
  assert.match(output, /^All \d+ attempts ended as expected\.$/m)
  assert.match(output, /42501 permission denied for table employees_salaries/)
  assert.match(output, /1142 SELECT command denied/)
  assert.match(output, /NOPERM /)
  // The timeline of one run, over the three protocols and the decoy; and the alerts that it sets off.
  for (const system of ['crm', 'carts']) {
    assert.match(output, new RegExp(`^\\S+ \\S+ +${system} +HOP +wrong_system to ${system}$`, 'm'))
  }
  assert.match(output, /^\S+ \S+ +payroll +HOP +decoy to payroll$/m)
  assert.match(output, /✓ page +BulkheadHop: sum by/)
  assert.match(output, /✓ page +BulkheadDecoyTouched: sum by[^✓]*payroll 1$/m)
  assert.ok(!output.includes('\u001b'), 'there is no colour in a pipe')
  assert.deepEqual(leftBehind(folder), [])
})

test('the lines that the demo prints work when pasted, and Ctrl-C ends it with success', async () => {
  const { child, folder } = startDemo([])
  const lines = await untilPrinted(child, /^The configuration is /m)
  const pasted = (start: string): string => lines.find((line) => line.startsWith(start)) ?? ''

  const psql = await paste(
    pasted('PGPASSWORD='),
    'select count(*) from orders;\nselect * from employees_salaries;\n',
  )
  assert.match(psql.output, /^\s+60$/m)
  assert.match(psql.errors, /permission denied for table employees_salaries/)

  const mysql = await paste(
    pasted('MYSQL_PWD='),
    'select name from accounts where id = 6;\nselect * from api_keys;\n',
  )
  assert.match(mysql.output, /^Aarhus Skole$/m)
  assert.match(mysql.errors, /ERROR 1142 \(42000\)/)

  const redis = await paste(pasted('REDISCLI_AUTH='), 'hget cart:1 SC-02\nget session:admin\n')
  assert.match(redis.output, /^2$/m)
  assert.match(redis.output, /NOPERM /)

  const metrics = await paste(pasted('curl '), '')
  assert.match(metrics.output, /^bulkhead_hop_attempts_total\{.*kind="wrong_system".*\} 2$/m)
  const audit = await paste(pasted('grep '), '')
  for (const line of audit.output.trimEnd().split('\n')) assert.equal(JSON.parse(line).event, 'hop')

  // As npm does it: the terminal signals everyone, and npm passes its own signal on.
  child.kill('SIGINT')
  child.kill('SIGINT')
  if (child.exitCode === null) await once(child, 'exit')
  assert.equal(child.exitCode, 0)
  assert.deepEqual(leftBehind(folder), [])
})

/** What is ours in the folder, but for fetched programs; the loader of these tests keeps a cache there. */
function leftBehind(folder: string): readonly string[] {
  return readdirSync(folder).filter((name) => /^bulkhead-(?!servers-)/.test(name))
}

/** Everything that a process printed until a line came; fails when it ends before. */
async function untilPrinted(child: ChildProcess, last: RegExp): Promise<readonly string[]> {
  if (child.stdout === null) throw new Error('no pipe')
  let printed = ''
  for await (const chunk of child.stdout.iterator({ destroyOnReturn: false })) {
    printed += String(chunk)
    if (last.test(printed)) {
      child.stdout.resume()
      return printed.split('\n')
    }
  }
  throw new Error(`the demo ended:\n${printed}`)
}

/** Runs a line as a shell would, with input for the program that it starts. */
async function paste(
  line: string,
  input: string,
): Promise<{ readonly output: string; readonly errors: string }> {
  const child = spawn('/bin/sh', ['-c', line], { stdio: 'pipe' })
  // A command that reads nothing may have ended before this is written.
  child.stdin.on('error', () => undefined)
  child.stdin.end(input)
  return outputOf(child)
}
