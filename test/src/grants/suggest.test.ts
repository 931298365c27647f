import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Access, CommandAccess, KeyUse, RelationAccess } from '../../../protocols/access.ts'
import type { ProtocolName } from '../../../protocols/protocol.ts'
import { type Done, grantedBy } from '../../../src/grants/done.ts'
import { globCovers, matchGlob } from '../../../src/grants/glob.ts'
import { escapedGlob, writtenPattern } from '../../../src/grants/glob-writing.ts'
import { compileLines, type Matcher, parseLines } from '../../../src/grants/grant.ts'
import { suggestGrant } from '../../../src/grants/suggest.ts'
import { command, read, select } from '../../support/accesses.ts'
import { allowLine, anyAccess, NAMINGS } from '../../support/grants.ts'

const PROTOCOLS = ['postgres', 'mysql', 'redis'] as const

const matcherOf = (allow: readonly string[], protocol: ProtocolName): Matcher =>
  compileLines(parseLines(allow, protocol), NAMINGS[protocol])

const suggest = (
  done: readonly Done[],
  protocol: ProtocolName,
  generalise = false,
): ReturnType<typeof suggestGrant> => suggestGrant(done, { protocol, naming: NAMINGS[protocol], generalise })

const ungranted = (accesses: readonly Access[]): readonly Done[] =>
  accesses.map((access) => ({ access, granted: undefined }))

/** Whether what was done holds an access, said in another way than by matching allow lines. */
function holds(done: readonly Access[], access: Access): boolean {
  if (access.kind === 'command')
    return commandsHold(
      done.filter((one) => one.kind === 'command'),
      access,
    )
  const same = done.filter((one) => objectOf(one) === objectOf(access))
  if (access.kind !== 'relation') return same.length > 0
  const relations = same as readonly RelationAccess[]
  const columns = new Set(relations.flatMap((one) => one.columns ?? []))
  // Where rows were only counted there is no column to name, and the whole table is what is left.
  const whole =
    relations.some((one) => one.columns === undefined) || (relations.length > 0 && columns.size === 0)
  if (whole || access.columns === undefined) return whole
  return relations.length > 0 && access.columns.every((column) => columns.has(column))
}

function objectOf(access: Access): string {
  // The two words for running a routine are one privilege.
  const action = access.kind === 'routine' ? 'execute' : 'action' in access ? access.action : ''
  return JSON.stringify([
    access.kind,
    action,
    'schema' in access ? access.schema : '',
    'name' in access ? access.name : '',
  ])
}

/** One of them as a whole, or each name by those that had one name at a time. */
function commandsHold(done: readonly CommandAccess[], access: CommandAccess): boolean {
  const same = done.filter(({ command }) => command === access.command)
  const single = same.filter(({ keys, channels, allKeys }) => keys.length + channels.length <= 1 && !allKeys)
  return [...same.map((one) => [one]), single].some((some) => some.length > 0 && reach(some, access))
}

function reach(some: readonly CommandAccess[], { keys, channels, allKeys }: CommandAccess): boolean {
  const every = some.filter((one) => one.allKeys)
  const writesAll = every.some((one) => one.categories.has('write'))
  const reasons: KeyUse[] = [
    ...every.map(() => ({ key: '*', read: true, write: writesAll, pattern: true })),
    ...some.flatMap((one) => one.keys),
  ]
  const has = (use: KeyUse): boolean =>
    (writesAll && use.pattern !== true) ||
    reasons.some((reason) => {
      // A name that was read once and written once is one that is read and written.
      const same = reasons.filter((one) => one.key === reason.key && one.pattern === reason.pattern)
      if ((use.read && !same.some((one) => one.read)) || (use.write && !same.some((one) => one.write)))
        return false
      if (use.pattern === true) return reason.pattern === true && globCovers(reason.key, use.key)
      return reason.pattern === true ? matchGlob(reason.key, use.key) : reason.key === use.key
    })
  const seesAll = reasons.some((one) => one.pattern === true && one.key === '*' && one.read)
  return (
    (!allKeys || seesAll) &&
    keys.every(has) &&
    channels.every(({ channel, pattern }) =>
      some.some((one) => one.channels.some((own) => own.channel === channel && own.pattern === pattern)),
    )
  )
}

for (const protocol of PROTOCOLS) {
  test(`what is suggested allows exactly what was done: ${protocol}`, () => {
    fc.assert(
      fc.property(
        fc.array(anyAccess(protocol), { maxLength: 6 }),
        fc.array(anyAccess(protocol), { minLength: 30, maxLength: 30 }),
        (done, others) => {
          const { allow } = suggest(ungranted(done), protocol)
          const matcher = matcherOf(allow, protocol)
          for (const access of done) {
            assert.notEqual(
              matcher.covering(access),
              undefined,
              `${JSON.stringify(access)} by ${allow.join(' | ')}`,
            )
          }
          for (const access of others) {
            const allowed = matcher.covering(access) !== undefined
            assert.equal(allowed, holds(done, access), `${JSON.stringify(access)} by ${allow.join(' | ')}`)
          }
        },
      ),
      { numRuns: 300 },
    )
  })

  for (const generalise of protocol === 'redis' ? [false, true] : [false]) {
    const how = generalise ? `${protocol}, generalised` : protocol
    test(`what is suggested for what a grant allowed is never wider than the grant: ${how}`, () => {
      fc.assert(
        fc.property(
          fc.array(allowLine(protocol), { minLength: 1, maxLength: 4 }),
          fc.array(anyAccess(protocol), { minLength: 20, maxLength: 20 }),
          fc.array(anyAccess(protocol), { minLength: 20, maxLength: 20 }),
          (lines, tried, others) => {
            const granted = grantedBy(lines, protocol, NAMINGS[protocol])
            const done = tried.filter((access) => granted.matcher.covering(access) !== undefined)
            const { allow } = suggest(
              done.map((access) => ({ access, granted })),
              protocol,
              generalise,
            )
            const matcher = matcherOf(allow, protocol)
            for (const access of done) assert.notEqual(matcher.covering(access), undefined, allow.join(' | '))
            for (const access of [...tried, ...others]) {
              if (matcher.covering(access) === undefined) continue
              assert.notEqual(
                granted.matcher.covering(access),
                undefined,
                `${JSON.stringify(access)} by ${allow.join(' | ')}, not by ${lines.join(' | ')}`,
              )
            }
          },
        ),
        { numRuns: 300 },
      )
    })
  }
}

test('privileges are written as a DBA would: by object, names quoted where they must be, the same needs in one line', () => {
  const { allow } = suggest(
    ungranted([
      select(['id', 'total']),
      select(['id', 'Odd "one"']),
      { ...select(['id']), action: 'update' },
      { ...select(undefined), action: 'delete' },
      select(undefined, 'customers'),
      select(undefined, 'tickets'),
      select(['id'], 'Orders', 'sales'),
      select(['on'], 'table'),
      { kind: 'routine', action: 'execute', schema: 'public', name: 'next_no' },
      { kind: 'channel', action: 'listen', name: 'news' },
    ]),
    'postgres',
  )
  assert.deepEqual(allow, [
    'select ("Odd ""one""", id, total), update (id), delete on orders',
    'select on customers, tickets',
    'select (id) on sales."Orders"',
    'select ("on") on "table"',
    'execute on function next_no',
    'listen on channel news',
  ])
})

test('where rows were only counted, a column that the grant has is named, or else the whole table with a note', () => {
  const limited = grantedBy(
    ['insert (total) on orders', 'select (id, city) on orders'],
    'postgres',
    NAMINGS.postgres,
  )
  const whole = grantedBy(['select on orders'], 'postgres', NAMINGS.postgres)
  const of = (granted: Done['granted']): ReturnType<typeof suggestGrant> =>
    suggest([{ access: select([]), granted }], 'postgres')
  assert.deepEqual(of(limited).allow, ['select (id) on orders'])
  assert.deepEqual(of(limited).notes, [])
  assert.deepEqual(of(whole).allow, ['select on orders'])
  assert.match(of(undefined).notes.join(), /naming any one of its columns is enough/)
})

test('a thousand columns are several lines, each as long as people read, which add up', () => {
  const columns = Array.from({ length: 1_000 }, (_, index) => `a_rather_long_column_${index}`)
  const { allow } = suggest(ungranted([select([...columns].sort())]), 'mysql')
  assert.ok(allow.length > 10 && allow.every((line) => line.length < 1_200))
  assert.notEqual(
    matcherOf(allow, 'mysql').covering({ ...select([...columns].sort()), schema: 'public' }),
    undefined,
  )
})

test('the level of metadata is the highest that was read, and none where nothing was', () => {
  const metadata = (...levels: ('driver' | 'introspect')[]): string =>
    suggest(ungranted(levels.map((level) => ({ kind: 'metadata', level, name: 'x' }))), 'postgres').metadata
  assert.deepEqual(
    [metadata(), metadata('driver'), metadata('introspect', 'driver')],
    ['none', 'driver', 'introspect'],
  )
})

test('commands with the same keys share a line, and what one line already has is not said twice', () => {
  const { allow } = suggest(
    ungranted([
      command('get', [read('a')]),
      command('ttl', [read('a')]),
      command('mget', [read('a'), read('b')]),
      command('mget', [read('a')]),
      command('set', [{ key: 'a', read: false, write: true }]),
      command('ping', []),
      command('dbsize', [], { allKeys: true }),
      command('client', [], { subcommand: 'setname' }),
    ]),
    'redis',
  )
  assert.deepEqual(allow, [
    '+mget %R~a %R~b',
    '+dbsize %R~*',
    '+get +ttl %R~a',
    '+set %W~a',
    '+ping +client|setname',
  ])
})

test('two halves of two lines of a grant do not become one line that the grant does not have', () => {
  const granted = grantedBy(['+mget ~a', '+mget ~b'], 'redis', NAMINGS.redis)
  const { allow } = suggest(
    ['a', 'b'].map((key) => ({ access: command('mget', [read(key)]), granted })),
    'redis',
  )
  assert.deepEqual(allow, ['+mget %R~a', '+mget %R~b'])
})

test('keys that differ behind their last colon become a pattern where that is asked for and granted', () => {
  const keys = ['cart:1', 'cart:2', 'cart:3', 'user:1', 'user:2']
  const of = (lines: readonly string[] | undefined): readonly string[] => {
    const granted = lines && grantedBy(lines, 'redis', NAMINGS.redis)
    return suggest(
      keys.map((key) => ({ access: command('get', [read(key)]), granted })),
      'redis',
      true,
    ).allow
  }
  assert.deepEqual(of(undefined), ['+get %R~cart:* %R~user:1 %R~user:2'])
  assert.deepEqual(of(['+@read ~*']), ['+get %R~cart:* %R~user:1 %R~user:2'])
  assert.deepEqual(of(['+get ~c* ~user:*']), ['+get %R~cart:* %R~user:1 %R~user:2'])
  assert.deepEqual(of(['+get ~cart:? ~user:?']), ['+get %R~cart:1 %R~cart:2 %R~cart:3 %R~user:1 %R~user:2'])
})

test('a key that no line can hold has a pattern that matches it, and within the grant where there is one', () => {
  const odd = [
    'two words',
    'caf\xe9',
    'tab\there',
    'a\\ b',
    'x'.repeat(2_000),
    '[\xc3\xa9',
    '\xff\xfe',
    '\\',
    '*?[]',
  ]
  for (const key of odd) {
    for (const lines of [undefined, ['+get ~*'], ['+get ~?*']]) {
      const granted = lines && grantedBy(lines, 'redis', NAMINGS.redis)
      const access = command('get', [read(key)])
      const { allow } = suggest([{ access, granted }], 'redis')
      assert.notEqual(matcherOf(allow, 'redis').covering(access), undefined, `${key} by ${allow.join(' | ')}`)
      if (lines?.[0] === '+get ~?*' && !writtenPattern(escapedGlob(key)).exact)
        assert.deepEqual(allow, ['+get %R~?*'])
    }
  }
})

test('a key of any bytes is matched by what is written for it, and by that alone where it says exact', () => {
  const bytes = fc.uint8Array({ maxLength: 12 }).map((data) => Buffer.from(data).toString('latin1'))
  fc.assert(
    fc.property(bytes, bytes, (key, other) => {
      const written = writtenPattern(escapedGlob(key))
      const matcher = matcherOf([`+get ~${written.text}`], 'redis')
      assert.notEqual(matcher.covering(command('get', [read(key)])), undefined)
      if (written.exact && other !== key)
        assert.equal(matcher.covering(command('get', [read(other)])), undefined)
    }),
    { numRuns: 1_000 },
  )
})

test('channels are written as they were used, patterns letter for letter', () => {
  const subscribe = (channel: string, pattern: boolean): CommandAccess =>
    command(pattern ? 'psubscribe' : 'subscribe', [], { channels: [{ channel, pattern }] })
  const { allow } = suggest(ungranted([subscribe('a*b', false), subscribe('a*b', true)]), 'redis')
  assert.deepEqual(allow, ['+subscribe &a\\*b', '+psubscribe &a*b'])
})
