/** What a configuration that was read anew changes, and what of it a running proxy can take. */
import { isDeepStrictEqual } from 'node:util'
import type { Config, SystemConfig } from './config.ts'

export type ConfigChanges = {
  /** Keys that differ and that only a restart can change. */
  readonly fixed: readonly string[]
  readonly systems: {
    readonly added: readonly string[]
    readonly removed: readonly string[]
    /** Another backend or protocol, or a decoy now and not before: what runs on it belongs to another system. */
    readonly replaced: readonly string[]
    /** Everything else that differs of a system. */
    readonly adjusted: readonly string[]
  }
  /** Grants that are gone or not what they were. */
  readonly grants: ReadonlySet<string>
  /** All of it, a line each, for operators. */
  readonly lines: readonly string[]
}

/** What of a configuration can change while the proxy runs; where it was read from says nothing. */
const RELOADED: readonly (keyof Config)[] = [
  'file',
  'systems',
  'grants',
  'issuers',
  'onHop',
  'clockSkewMs',
  'drainMs',
]

/** The words of `bulkhead.yaml` where the checked form has others. */
const WRITTEN: Partial<Record<string, string>> = {
  auditFile: 'audit',
  exports: 'webhook, export',
  stateFile: 'state',
  onHop: 'on_hop',
  clockSkewMs: 'tokens.clock_skew',
  drainMs: 'drain',
}

export function changesOf(old: Config, next: Config): ConfigChanges {
  const members = Object.keys({ ...old, ...next }) as (keyof Config)[]
  const differing = members.filter((member) => !isDeepStrictEqual(old[member], next[member]))
  const common = [...old.systems.keys()].filter((name) => next.systems.has(name))
  const changed = common.filter((name) => !isDeepStrictEqual(old.systems.get(name), next.systems.get(name)))
  const systems = {
    added: missingIn(next.systems, old.systems),
    removed: missingIn(old.systems, next.systems),
    replaced: changed.filter((name) => isAnother(old.systems.get(name), next.systems.get(name))),
    adjusted: changed.filter((name) => !isAnother(old.systems.get(name), next.systems.get(name))),
  }
  const grantsAdded = missingIn(next.grants, old.grants)
  const grantsRemoved = missingIn(old.grants, next.grants)
  const grantsChanged = [...old.grants.keys()].filter(
    (name) => next.grants.has(name) && !isDeepStrictEqual(old.grants.get(name), next.grants.get(name)),
  )
  const said = (names: readonly string[], kind: string, what: string): string[] =>
    names.map((name) => `${kind} ${name} ${what}`)
  return {
    fixed: differing
      .filter((member) => !RELOADED.includes(member))
      .map((member) => WRITTEN[member] ?? member),
    systems,
    grants: new Set([...grantsRemoved, ...grantsChanged]),
    lines: [
      ...said(systems.added, 'system', 'added'),
      ...said(systems.removed, 'system', 'removed'),
      ...said(systems.replaced, 'system', 'replaced'),
      ...said(systems.adjusted, 'system', 'changed'),
      ...said(grantsAdded, 'grant', 'added'),
      ...said(grantsRemoved, 'grant', 'removed'),
      ...said(grantsChanged, 'grant', 'changed'),
      ...differing
        .filter((member) => ['issuers', 'onHop', 'clockSkewMs', 'drainMs'].includes(member))
        .map((member) => `${WRITTEN[member] ?? member} changed`),
    ],
  }
}

/**
 * The new configuration with every grant that did not change as the very object that it was: what was compiled of it and
 * found by it is kept.
 */
export function keepUnchangedGrants(old: Config, next: Config): Config {
  return {
    ...next,
    grants: new Map(
      [...next.grants].map(([name, grant]) => {
        const before = old.grants.get(name)
        return [name, before !== undefined && isDeepStrictEqual(before, grant) ? before : grant]
      }),
    ),
  }
}

function missingIn(of: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>): string[] {
  return [...of.keys()].filter((name) => !other.has(name))
}

function isAnother(old: SystemConfig | undefined, next: SystemConfig | undefined): boolean {
  return (
    old?.protocol !== next?.protocol ||
    old?.decoy !== next?.decoy ||
    !isDeepStrictEqual(old?.backend, next?.backend)
  )
}
