/** How the demo looks: aligned columns, wrapped to the terminal, in colour where there is one. */
import { colors } from '../commands/colors.ts'
import type { Outcome } from './agents.ts'

/** Narrower than most terminals, for where the width is not known. */
const WIDTH_DEFAULT = 110
const WHAT_WIDTH = 15
const INDENT = ' '.repeat(4 + WHAT_WIDTH)

export function print(line = ''): void {
  process.stdout.write(`${line}\n`)
}

/** Something is being done that takes a while. */
export function printProgress(line: string): void {
  print(colors.dim(`… ${line}`))
}

export function printHeading(title: string, detail: string): void {
  print(`\n${colors.bold(title)}  ${colors.dim(detail)}`)
}

/** How many lines of a later error are shown; the first of a kind is shown whole. */
const ERROR_LINES_MAX = 2

/**
 * One attempt: what was tried, and below it what came back.
 *
 * @param whole shows a long error to its end, with its hint
 */
export function printAttempt(
  what: string,
  statement: string,
  outcome: Outcome,
  { asExpected, whole }: { readonly asExpected: boolean; readonly whole: boolean },
): void {
  const mark = !asExpected ? colors.red('✗') : outcome.ok ? colors.green('✓') : colors.yellow('■')
  const [first = '', ...rest] = wrap(statement)
  print(`  ${mark} ${colors.dim(what.padEnd(WHAT_WIDTH))}${first}`)
  for (const line of rest) print(`${INDENT}${line}`)
  if (outcome.ok) {
    for (const line of wrap(outcome.shown)) print(`${INDENT}${colors.green(line)}`)
  } else {
    for (const line of errorLines(`${outcome.code} ${outcome.message}`, whole)) {
      print(`${INDENT}${colors.yellow(line)}`)
    }
    if (whole && outcome.hint !== undefined) {
      for (const line of wrap(outcome.hint)) print(`${INDENT}${colors.dim(line)}`)
    }
  }
  if (!asExpected) print(`${INDENT}${colors.red('this is not what was expected')}`)
}

function errorLines(text: string, whole: boolean): string[] {
  const lines = wrap(text)
  if (whole || lines.length <= ERROR_LINES_MAX) return lines
  return [...lines.slice(0, ERROR_LINES_MAX - 1), `${lines[ERROR_LINES_MAX - 1]} …`]
}

/** Lines to copy stand at the left edge, unwrapped. */
export function printCommand(comment: string, command: string): void {
  print(colors.dim(`# ${comment}`))
  print(command)
}

export function printVerdict(text: string, good: boolean): void {
  print(good ? colors.green(text) : colors.red(text))
}

function wrap(text: string): string[] {
  const width = Math.max(40, (process.stdout.columns || WIDTH_DEFAULT) - INDENT.length - 1)
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}
