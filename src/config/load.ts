/**
 * `bulkhead.yaml` to a `Config`: reads, fills in secrets, checks, and reports every problem at once with its line,
 * its key and the mend.
 */
import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml'
import type { z } from 'zod'
import { HOP_KINDS, type HopKind } from '../../protocols/analysis.ts'
import { lowerMetadata } from '../grants/grant.ts'
import { readLimits } from '../grants/limits.ts'
import { readAudit } from './audit.ts'
import { type Config, ConfigError, type ConfigProblem, type OnHop, type Reporter } from './config.ts'
import { checkCrossReferences } from './cross-references.ts'
import { readExports } from './exports.ts'
import { fillIn } from './interpolation.ts'
import { readIssuer } from './issuers.ts'
import { configuration, type WrittenConfiguration } from './schema.ts'
import { readAdmin, readSystem, stateFileBeside } from './sections.ts'

/** What `check-config` shows and `serve` uses. */
export type LoadedConfig = { readonly config: Config; readonly written: WrittenConfiguration }

export type LoadOptions = {
  /** Where `${NAME}` is looked up. */
  readonly environment: NodeJS.ProcessEnv
  /** `optional` for commands that reach no backend: a secret that is not there is then no problem, and empty. */
  readonly secrets: 'required' | 'optional'
}

/**
 * @param file path of the configuration
 * @throws ConfigError with every problem found
 */
export function loadConfig(file: string, { environment, secrets }: LoadOptions): LoadedConfig {
  const path = resolve(file)
  const problems: ConfigProblem[] = []
  const lines = new LineCounter()
  const document = parseDocument(readText(path), {
    lineCounter: lines,
    uniqueKeys: true,
    prettyErrors: false,
  })
  for (const error of document.errors) {
    const { line, col } = lines.linePos(error.pos[0])
    problems.push({
      line,
      column: col,
      key: '',
      message: error.message.split('\n')[0] ?? error.code,
      mend: undefined,
      pointed: undefined,
    })
  }
  if (problems.length > 0) throw new ConfigError(path, problems)

  const report: Reporter = (keys, message, more = {}) => {
    const { line, column } = position(document, lines, keys, more.onKey)
    const key = [...keys, ...(more.onKey === undefined ? [] : [more.onKey])].reduce<string>(
      (text, part) =>
        typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`,
      '',
    )
    problems.push({ line, column, key, message, mend: more.mend, pointed: more.pointed })
  }

  const folder = dirname(path)
  const filled = fillIn(plainValues(document, path), {
    folder,
    environment,
    report: secrets === 'required' ? report : () => undefined,
  })
  const parsed = configuration.safeParse(filled)
  if (!parsed.success) {
    for (const issue of parsed.error.issues) reportIssue(issue, report)
    throw new ConfigError(path, sorted(problems))
  }
  const config = build(parsed.data, path, secrets, report)
  checkCrossReferences(config, report)
  if (problems.length > 0) throw new ConfigError(path, sorted(problems))
  return { config, written: parsed.data }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const isMissing = code === 'ENOENT'
    throw unreadable(
      path,
      isMissing ? 'there is no such file' : `cannot be read: ${code ?? 'error'}`,
      isMissing
        ? 'make one with `bulkhead init`, or name another with `--config`'
        : 'name a file that this user can read with `--config`',
    )
  }
}

/** The document as plain values, its aliases filled in. */
function plainValues(document: Document, path: string): unknown {
  try {
    return document.toJS()
  } catch (error) {
    // An alias of nothing, or aliases of aliases that would fill the memory.
    throw unreadable(path, (error as Error).message, 'write the values out')
  }
}

function unreadable(path: string, message: string, mend: string): ConfigError {
  return new ConfigError(path, [{ line: 0, column: 0, key: '', message, mend, pointed: undefined }])
}

function build(
  written: WrittenConfiguration,
  path: string,
  secrets: LoadOptions['secrets'],
  report: Reporter,
): Config {
  const folder = dirname(path)
  return {
    file: path,
    systems: new Map(
      Object.entries(written.systems).map(([name, system]) => [
        name,
        readSystem(name, system, folder, report),
      ]),
    ),
    grants: new Map(
      Object.entries(written.grants).map(([name, grant]) => [
        name,
        {
          name,
          system: grant.system,
          allow: grant.allow,
          metadata: lowerMetadata(written.systems[grant.system]?.ceiling_metadata, grant.metadata),
          limits: readLimits({ ...written.systems[grant.system]?.limits, ...grant.limits }),
          observe: grant.observe || written.systems[grant.system]?.observe === true,
          narrowed: [],
        },
      ]),
    ),
    issuers: written.issuers.flatMap((_, index) => readIssuer(index, written, folder, report) ?? []),
    onHop: onHopOf(written.on_hop),
    clockSkewMs: written.tokens.clock_skew,
    auditFile: resolve(folder, written.audit.file),
    audit: readAudit(written.audit, folder, secrets, report),
    admin: readAdmin(written.admin, folder),
    stateFile: resolve(folder, written.state.file ?? stateFileBeside(written.audit.file)),
    drainMs: written.drain,
    exports: readExports(written, secrets, report),
  }
}

function onHopOf(written: WrittenConfiguration['on_hop']): Readonly<Record<HopKind, OnHop>> {
  const of = (kind: HopKind): OnHop => (typeof written === 'string' ? written : (written[kind] ?? 'reject'))
  return Object.fromEntries(HOP_KINDS.map((kind) => [kind, of(kind)])) as Record<HopKind, OnHop>
}

function reportIssue(issue: z.core.$ZodIssue, report: Reporter): void {
  const path = issue.path.filter((part) => typeof part !== 'symbol')
  switch (issue.code) {
    case 'unrecognized_keys':
      for (const key of issue.keys) {
        report(path, 'unknown key', {
          onKey: key,
          mend: 'remove it, or correct its spelling (see docs/operating.md)',
        })
      }
      return
    case 'invalid_key':
      for (const inner of issue.issues) {
        report(path, `the name is not allowed: ${inner.message}`, { mend: 'choose another name' })
      }
      return
    case 'invalid_union':
      report(path, 'not one of the forms allowed here', { mend: 'see docs/operating.md for this key' })
      return
    case 'invalid_type':
      report(
        path,
        issue.input === undefined && !issue.message.includes('received')
          ? 'missing'
          : issue.message.toLowerCase(),
        { mend: `write a value of type ${issue.expected}` },
      )
      return
    case 'invalid_value':
      report(path, 'not an allowed value', { mend: `write one of ${issue.values.map(String).join(', ')}` })
      return
    default:
      report(path, issue.message)
  }
}

/** The place of a key in the file; of the nearest key above it that exists, where it is missing. */
function position(
  document: Document,
  lines: LineCounter,
  path: readonly (string | number)[],
  key: string | undefined,
): { readonly line: number; readonly column: number } {
  for (let depth = path.length; depth >= 0; depth -= 1) {
    const node = (depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true)) as
      | Node
      | null
      | undefined
    const offset = offsetOf(node, depth === path.length ? key : undefined)
    if (offset !== undefined) {
      const { line, col } = lines.linePos(offset)
      return { line, column: col }
    }
  }
  return { line: 1, column: 1 }
}

function offsetOf(node: Node | null | undefined, key: string | undefined): number | undefined {
  if (key !== undefined && isMap(node)) {
    const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
    if (isScalar(pair?.key)) return pair.key.range?.[0]
  }
  return node?.range?.[0]
}

function sorted(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return [...problems].sort((a, b) => a.line - b.line || a.column - b.column)
}
