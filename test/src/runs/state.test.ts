import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { newSecret } from '../../../src/runs/secrets.ts'
import { type Claims, RunState } from '../../../src/runs/state.ts'
import type { Revocation, Target } from '../../../src/runs/state-file.ts'
import { temporaryFolder } from '../../support/folders.ts'

const folder = temporaryFolder()

let files = 0
const newFile = (): string => {
  files += 1
  return join(folder, `${files}.state.json`)
}

const NOW_MS = Date.parse('2026-11-23T12:00:00Z')
const at = (ms: number) => () => ms

const revoked = (target: Target, until?: number): Revocation => ({
  cause: 'revoked',
  target,
  why: 'because',
  by: 'tester',
  at: NOW_MS,
  until,
})

const claims = (more: Partial<Claims> = {}): Claims => ({
  issuer: 'i',
  run: 'r',
  jti: 'j',
  grant: 'g',
  ancestors: [],
  ...more,
})

const child = claims({
  run: 'r.1.2',
  jti: 'j2',
  ancestors: [
    { run: 'r', jti: 'j' },
    { run: 'r.1', jti: 'j1' },
  ],
})

const cases: { target: Target; refuses: Claims; spares: Claims[] }[] = [
  {
    target: { kind: 'run', run: 'r' },
    refuses: claims(),
    spares: [claims({ run: 'r2' }), claims({ run: 'R' })],
  },
  { target: { kind: 'run', run: 'r' }, refuses: child, spares: [] },
  { target: { kind: 'run', run: 'r.1' }, refuses: child, spares: [claims()] },
  {
    target: { kind: 'run', run: 'r', issuer: 'i' },
    refuses: claims(),
    spares: [claims({ issuer: 'other' })],
  },
  { target: { kind: 'token', jti: 'j' }, refuses: claims(), spares: [claims({ jti: 'k' })] },
  { target: { kind: 'token', jti: 'j1' }, refuses: child, spares: [claims()] },
  {
    target: { kind: 'token', jti: 'j', issuer: 'i' },
    refuses: claims(),
    spares: [claims({ issuer: 'other' })],
  },
  {
    target: { kind: 'grant', grant: 'g' },
    refuses: claims(),
    spares: [claims({ grant: 'h' }), claims({ grant: {} })],
  },
]
for (const { target, refuses, spares } of cases) {
  test(`revoking ${JSON.stringify(target)} refuses ${refuses.run} and what it should, now and after a restart`, () => {
    const file = newFile()
    const state = new RunState(file, at(NOW_MS))
    assert.equal(state.refusalOf(refuses), undefined)
    state.refuse(revoked(target))
    assert.equal(state.save(), true)
    for (const each of [state, new RunState(file, at(NOW_MS))]) {
      assert.equal(each.refusalOf(refuses)?.cause, 'revoked')
      for (const spared of spares) assert.equal(each.refusalOf(spared), undefined)
    }
    assert.equal(state.release(target).length, 1)
    for (const each of [state, new RunState(file, at(NOW_MS))])
      assert.equal(each.refusalOf(refuses), undefined)
  })
}

test('a release without an issuer takes back those of every issuer, one with an issuer only its own', () => {
  const state = new RunState(newFile(), at(NOW_MS))
  for (const issuer of ['i', 'k', undefined]) state.refuse(revoked({ kind: 'run', run: 'r', issuer }))
  assert.equal(state.release({ kind: 'run', run: 'r', issuer: 'k' }).length, 1)
  assert.equal(state.release({ kind: 'run', run: 'r' }).length, 2)
})

test('what concerns only tokens that have expired is forgotten, and what is not known to is kept', () => {
  const file = newFile()
  const state = new RunState(file, at(NOW_MS))
  state.refuse(revoked({ kind: 'token', jti: 'brief' }, NOW_MS + 1_000))
  state.refuse(revoked({ kind: 'run', run: 'r' }))
  state.register(
    newSecret({ system: 's', run: 'r', agent: 'a', grant: 'g', ttlMs: 1_000 }, NOW_MS).registered,
  )
  assert.ok(state.secretOf('s', 'r'))
  const later = new RunState(file, at(NOW_MS + 1_000))
  assert.equal(later.refusalOf(claims({ run: 'x', jti: 'brief' })), undefined)
  assert.equal(later.secretOf('s', 'r'), undefined)
  assert.equal(later.refusalOf(claims())?.cause, 'revoked')
  later.save()
  assert.doesNotMatch(readFileSync(file, 'utf8'), /brief|verifier/)
})

test('a secret comes back from the file as it was, and is for one system', () => {
  const file = newFile()
  const state = new RunState(file, at(NOW_MS))
  const { registered } = newSecret({ system: 's', run: 'r', agent: 'a', grant: 'g', ttlMs: 60_000 }, NOW_MS)
  assert.equal(state.register(registered), true)
  assert.deepEqual(new RunState(file, at(NOW_MS)).secretOf('s', 'r'), registered)
  assert.equal(state.secretOf('t', 'r'), undefined)
})

test('the file is for its owner alone, and nothing is left beside it', () => {
  const file = newFile()
  new RunState(file, at(NOW_MS)).save()
  assert.equal(statSync(file).mode & 0o777, 0o600)
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.new')),
    [],
  )
})

test('any file that was changed by hand or cut off stops the start, and names itself', () => {
  const file = newFile()
  const state = new RunState(file, at(NOW_MS))
  state.refuse(revoked({ kind: 'run', run: 'r' }, NOW_MS + 1))
  state.register(
    newSecret({ system: 's', run: 'r', agent: 'a', grant: 'g', ttlMs: 60_000 }, NOW_MS).registered,
  )
  const good = readFileSync(file, 'utf8').trimEnd()
  fc.assert(
    fc.property(fc.nat(good.length - 1), (length) => {
      writeFileSync(file, good.slice(0, length))
      assert.throws(() => new RunState(file, at(NOW_MS)), { name: 'StateError', message: new RegExp(file) })
    }),
  )
  for (const [from, to] of [
    ['"version": 1', '"version": 2'],
    ['"revoked"', '"pardoned"'],
    ['"run": "r"', '"run": "r", "extra": 1'],
    ['2026-11-23', '2026-13-23'],
    ['"sha1_twice": "', '"sha1_twice": "AAAA'],
  ] as const) {
    assert.ok(good.includes(from), from)
    writeFileSync(file, good.replace(from, to))
    assert.throws(() => new RunState(file, at(NOW_MS)), { name: 'StateError' }, to)
  }
  chmodSync(file, 0o600)
  rmSync(file)
  mkdirSync(file)
  assert.throws(() => new RunState(file, at(NOW_MS)), { name: 'StateError', message: /EISDIR/ })
})

test('where the file cannot be written it is in force all the same, and it is known that a restart would forget it', () => {
  const gone = join(folder, 'gone')
  mkdirSync(gone)
  const state = new RunState(join(gone, 'state.json'), at(NOW_MS))
  rmSync(gone, { recursive: true })
  state.refuse(revoked({ kind: 'run', run: 'r' }))
  assert.equal(state.save(), false)
  assert.equal(state.saved, false)
  assert.equal(state.refusalOf(claims())?.why, 'because')
  mkdirSync(gone)
  assert.equal(state.save(), true)
  assert.ok(existsSync(state.file))
})
