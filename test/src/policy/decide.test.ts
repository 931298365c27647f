import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Access, CommandAccess } from '../../../protocols/access.ts'
import type { Analysis } from '../../../protocols/analysis.ts'
import { compileDecoys } from '../../../src/grants/decoys.ts'
import { compileLines, type Matcher, NO_LIMITS, parseLines } from '../../../src/grants/grant.ts'
import { compileRedisGrant, parseSelectorLine } from '../../../src/grants/redis-selector.ts'
import { type Decider, decide } from '../../../src/policy/decide.ts'
import { Judge } from '../../../src/policy/judge.ts'
import { denialOf } from '../../../src/policy/words.ts'
import { allowLine, anyAccess, NAMINGS } from '../../support/grants.ts'

const readOrders: Access = {
  kind: 'relation',
  action: 'select',
  schema: 'public',
  name: 'orders',
  columns: undefined,
}
const deleteOrders: Access = { ...readOrders, action: 'delete' }
const readTypes: Access = { kind: 'metadata', level: 'driver', name: 'pg_catalog.pg_type' }
const readColumns: Access = { kind: 'metadata', level: 'introspect', name: 'information_schema.columns' }

/** Covers the given accesses by the line of the same index. */
const covering = (...accesses: Access[]): Matcher => ({
  covering: (access) => (accesses.includes(access) ? [accesses.indexOf(access)] : undefined),
})
const decider: Decider = { matcher: covering(readOrders), bounds: [], decoys: undefined, metadata: 'driver' }

const needs = (...accesses: Access[]): Analysis => ({ outcome: 'accesses', action: 'select', accesses })

const cases: readonly {
  readonly when: string
  readonly decider?: Decider
  readonly analysis: Analysis
  readonly outcome: string
}[] = [
  { when: 'every access is granted', analysis: needs(readOrders), outcome: 'allowed' },
  { when: 'nothing is needed', analysis: needs(), outcome: 'allowed' },
  { when: 'one of two is not granted', analysis: needs(readOrders, deleteOrders), outcome: 'not_granted' },
  { when: 'driver metadata is read under `driver`', analysis: needs(readTypes), outcome: 'allowed' },
  { when: 'schema metadata is read under `driver`', analysis: needs(readColumns), outcome: 'not_granted' },
  {
    when: 'schema metadata is read under `introspect`',
    decider: { ...decider, metadata: 'introspect' },
    analysis: needs(readColumns),
    outcome: 'allowed',
  },
  {
    when: 'driver metadata is read under `none`',
    decider: { ...decider, metadata: 'none' },
    analysis: needs(readTypes),
    outcome: 'not_granted',
  },
  {
    when: 'the grant exceeds the ceiling',
    decider: { ...decider, bounds: [covering(deleteOrders)] },
    analysis: needs(readOrders),
    outcome: 'not_granted',
  },
  {
    when: 'grant and ceiling both cover it',
    decider: { ...decider, bounds: [covering(readOrders)] },
    analysis: needs(readOrders),
    outcome: 'allowed',
  },
  {
    when: 'it is not understood',
    analysis: { outcome: 'not_understood', action: 'unknown', why: 'x' },
    outcome: 'not_understood',
  },
  {
    when: 'an object is unknown, although granted',
    analysis: { outcome: 'unknown_object', action: 'select', why: 'x', accesses: [readOrders] },
    outcome: 'unknown_object',
  },
  {
    when: 'the readers disagree',
    analysis: { outcome: 'readers_disagree', action: 'select', why: 'x' },
    outcome: 'readers_disagree',
  },
  {
    when: 'no grant can allow it',
    analysis: { outcome: 'forbidden', action: 'select', why: 'x' },
    outcome: 'forbidden',
  },
  {
    when: 'it is a hop',
    analysis: { outcome: 'hop', action: 'session', hop: 'file_reach', why: 'x' },
    outcome: 'hop',
  },
]
for (const { when, decider: given = decider, analysis, outcome } of cases) {
  test(`${when}: ${outcome}`, () => {
    const verdict = decide(given, analysis)
    assert.equal(verdict.allowed ? 'allowed' : verdict.reason, outcome)
  })
}

test('beside an object that is not granted, nothing is told of one that does not exist', () => {
  const verdict = decide(decider, {
    outcome: 'unknown_object',
    action: 'select',
    why: 'column "salry" does not exist',
    accesses: [deleteOrders],
    nativeError: { code: '42703', message: 'column "salry" does not exist' },
  })
  assert.ok(!verdict.allowed)
  assert.equal(verdict.reason, 'not_granted')
  assert.equal(verdict.nativeError, undefined)
})

test('a grant of nothing denies everything that needs something', () => {
  const nothing: Decider = { matcher: covering(), bounds: [], decoys: undefined, metadata: 'none' }
  assert.equal(decide(nothing, needs(readOrders)).allowed, false)
})

test('a denial names what is missing and shows the lines nearest to it', () => {
  const verdict = decide(decider, needs(readOrders, deleteOrders))
  assert.ok(!verdict.allowed)
  const { message, hint } = denialOf(verdict, ['insert on tickets', 'select on orders'])
  assert.equal(message, 'the grant does not allow: delete on public.orders')
  assert.match(hint ?? '', /^this grant allows: select on orders; insert on tickets/)
})

test('a denial of a hop names its kind', () => {
  const verdict = decide(decider, {
    outcome: 'hop',
    action: 'session',
    hop: 'identity_switch',
    why: 'SET ROLE',
  })
  assert.ok(!verdict.allowed)
  assert.match(denialOf(verdict, []).message, /leaves the granted system \(identity_switch\): SET ROLE/)
})

test('of a relation that is granted in part, only the other columns are missing', () => {
  const columns: Access = { ...readOrders, columns: ['id', 'total'] }
  const partly: Matcher = {
    covering: (access) =>
      access.kind === 'relation' && access.columns?.every((column) => column === 'id') ? [0] : undefined,
  }
  const verdict = decide({ ...decider, matcher: partly }, needs(columns))
  assert.ok(!verdict.allowed)
  assert.deepEqual(verdict.missing, [{ ...readOrders, columns: ['total'] }])
  assert.deepEqual(denialOf(verdict, []).missing, { ...readOrders, columns: ['total'] })
})

test('of a relation that is not granted at all, the denial tells no column', () => {
  const verdict = decide({ ...decider, matcher: covering() }, needs({ ...readOrders, columns: ['salary'] }))
  assert.ok(!verdict.allowed)
  const denial = denialOf(verdict, [])
  assert.deepEqual(denial.missing, { ...readOrders, columns: undefined })
  assert.doesNotMatch(denial.message, /salary/)
})

test('of a Redis command it is told whether the command, a key or a channel is not granted', () => {
  const matcher = compileRedisGrant(['+get +publish ~a:* &c', '+set ~b:*'].map(parseSelectorLine))
  const command = (
    name: string,
    keys: readonly string[],
    channels: readonly string[] = [],
  ): CommandAccess => ({
    ...{ kind: 'command', command: name, subcommand: undefined, categories: new Set(), allKeys: false },
    keys: keys.map((key) => ({ key, read: true, write: false })),
    channels: channels.map((channel) => ({ channel, pattern: false })),
  })
  const lacks = (access: CommandAccess) => {
    const verdict = decide({ ...decider, matcher }, needs(access))
    return verdict.allowed ? 'nothing' : verdict.lacks
  }
  assert.equal(lacks(command('get', ['a:1'])), 'nothing')
  assert.equal(lacks(command('del', ['a:1'])), 'command')
  assert.equal(lacks(command('get', ['b:1'])), 'key')
  assert.equal(lacks({ ...command('get', []), allKeys: true }), 'key')
  assert.equal(lacks(command('publish', [], ['d'])), 'channel')
  assert.equal(lacks(command('publish', ['z'], ['d'])), 'key')
})

const bait: Access = { ...readOrders, name: 'salaries' }
const baited: Decider = {
  ...decider,
  decoys: (access) =>
    access.kind === 'relation' && access.name === 'salaries' ? 'public.salaries' : undefined,
}
const touch = { kind: 'decoy', target: 'public.salaries' }
const action = 'select'

const refusals: readonly { readonly analysis: Analysis; readonly told: string; readonly hops: unknown[] }[] =
  [
    {
      analysis: { outcome: 'forbidden', action, why: 'x', touched: [readOrders, bait] },
      told: 'forbidden',
      hops: [touch],
    },
    {
      analysis: { outcome: 'not_understood', action, why: 'x', touched: [bait] },
      told: 'not_understood',
      hops: [touch],
    },
    {
      analysis: { outcome: 'readers_disagree', action, why: 'x', touched: [bait] },
      told: 'readers_disagree',
      hops: [touch],
    },
    {
      analysis: { outcome: 'unknown_object', action, why: 'x', accesses: [], touched: [bait] },
      told: 'unknown_object',
      hops: [touch],
    },
    {
      analysis: { outcome: 'unknown_object', action, why: 'x', accesses: [bait] },
      told: 'not_granted',
      hops: [touch],
    },
    {
      analysis: { outcome: 'hop', action, hop: 'file_reach', why: 'x', target: '/tmp/x', touched: [bait] },
      told: 'hop',
      hops: [{ kind: 'file_reach', target: '/tmp/x' }, touch],
    },
  ]
for (const { analysis, told, hops } of refusals) {
  test(`a decoy in a statement that is refused as ${told} is a hop, and the client reads ${told}`, () => {
    const plain = decide(decider, analysis)
    const verdict = decide(baited, analysis)
    assert.ok(!plain.allowed && !verdict.allowed)
    assert.equal(verdict.reason, 'hop')
    assert.deepEqual(verdict.hops, hops)
    assert.equal(denialOf(verdict, []).reason, told)
    assert.deepEqual(denialOf(verdict, ['select on orders']), denialOf(plain, ['select on orders']))
  })
}

test('a refused statement that touches no decoy stays what it is', () => {
  const analysis: Analysis = { outcome: 'forbidden', action, why: 'x', touched: [readOrders] }
  assert.deepEqual(decide(baited, analysis), decide(decider, analysis))
})

test('a limit holds under a grant that observes, and a decoy is touched also where it refuses the statement', () => {
  const grant = {
    ...{ name: 'g', system: 'shop', allow: ['select on orders'], metadata: 'driver' as const },
    ...{ limits: NO_LIMITS, observe: true, narrowed: [] },
  }
  const system = { protocol: 'postgres' as const, ceiling: undefined, decoys: ['salaries'] }
  const judge = new Judge(grant, system, NAMINGS.postgres)
  const over = (access: Access) => judge.refuse('limit', 'too many', needs(access))
  assert.equal(over(readOrders).word, 'deny')
  const { word, verdict, denial } = over(bait)
  assert.equal(word, 'deny')
  assert.deepEqual(verdict.allowed ? [] : verdict.hops, [touch])
  assert.deepEqual(denial, over(readOrders).denial)
})

/** True where no line reaches what the access names, not even a part of it. */
const isApart = (matcher: Matcher, access: Access): boolean =>
  matcher.covering(
    access.kind === 'command'
      ? { ...access, channels: [], allKeys: false }
      : access.kind === 'relation'
        ? { ...access, columns: [] }
        : access,
  ) === undefined

for (const [protocol, decoys, accessesMax] of [
  ['postgres', ['sales.*', 'orders'], 3],
  ['mysql', ['sales.*', 'orders'], 3],
  // A command is one access.
  ['redis', ['~cart:*', '~k*'], 1],
] as const) {
  test(`${protocol}: to the last word, a decoy is denied as what is not granted`, () => {
    const lines = fc.array(allowLine(protocol), { maxLength: 3 })
    const accesses = fc.array(anyAccess(protocol), { minLength: 1, maxLength: accessesMax })
    const touches = compileDecoys(decoys, protocol, NAMINGS[protocol])
    assert.ok(touches !== undefined)
    const compiled = (written: readonly string[]): Matcher =>
      compileLines(parseLines(written, protocol), NAMINGS[protocol])
    let touched = 0
    fc.assert(
      fc.property(lines, fc.option(lines), accesses, (allow, narrowed, needed) => {
        const plain: Decider = {
          matcher: compiled(allow),
          bounds: narrowed === null ? [] : [compiled(narrowed)],
          metadata: 'driver',
          decoys: undefined,
        }
        const baits = needed.filter((access) => touches(access) !== undefined)
        fc.pre(baits.length > 0 && baits.every((access) => isApart(plain.matcher, access)))
        touched += 1
        const ordinary = decide(plain, needs(...needed))
        const verdict = decide({ ...plain, decoys: touches }, needs(...needed))
        assert.ok(!ordinary.allowed && !verdict.allowed)
        assert.equal(verdict.hops[0]?.kind, 'decoy')
        assert.deepEqual(denialOf(verdict, allow), denialOf(ordinary, allow))
      }),
    )
    assert.ok(touched > 0)
  })
}
