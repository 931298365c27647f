import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendLoginOptions } from '../../../protocols/login.ts'
import { RedisBackendLogin } from '../../../protocols/redis/backend-login.ts'
import { cut, raw, text } from './wire.ts'

const OPTIONS: BackendLoginOptions = {
  user: '',
  password: undefined,
  database: '3',
  tls: 'disable',
  applicationName: 'bulkhead r-42',
  random: (size) => Buffer.alloc(size),
}

function asked(options: Partial<BackendLoginOptions>, version: 2 | 3): string {
  const login = new RedisBackendLogin({ ...OPTIONS, ...options }, version)
  login.next()
  return text(login.takeForServer())
}

const SELECT_AND_NAME = '*2|$6|SELECT|$1|3|*3|$6|CLIENT|$7|SETNAME|$13|bulkhead:r-42|'

test('no password: nothing but the database and a name', () => {
  assert.equal(asked({}, 2), SELECT_AND_NAME)
  assert.equal(asked({}, 3), `*2|$5|HELLO|$1|3|${SELECT_AND_NAME}`)
})

test('requirepass: the short AUTH', () => {
  assert.equal(asked({ password: 'p' }, 2), `*2|$4|AUTH|$1|p|${SELECT_AND_NAME}`)
  assert.equal(asked({ password: 'p' }, 3), `*5|$5|HELLO|$1|3|$4|AUTH|$7|default|$1|p|${SELECT_AND_NAME}`)
})

test('an ACL user: the long AUTH', () => {
  assert.equal(asked({ user: 'u', password: 'p' }, 2), `*3|$4|AUTH|$1|u|$1|p|${SELECT_AND_NAME}`)
})

test('TLS comes before the first byte', () => {
  const login = new RedisBackendLogin({ ...OPTIONS, tls: 'verify-full' }, 2)
  assert.deepEqual(login.next(), { kind: 'start_tls' })
  assert.deepEqual(login.takeForServer(), [])
  login.tlsStarted()
  assert.equal(login.next(), undefined)
  assert.equal(text(login.takeForServer()), SELECT_AND_NAME)
})

test('answers may come in any pieces, and what follows them is kept', () => {
  for (const size of [1, 2, 7, 100]) {
    const login = new RedisBackendLogin({ ...OPTIONS, password: 'p' }, 3)
    login.next()
    const bytes = raw('%2|$6|server|$5|redis|$7|modules|*0|+OK|+OK|')
    let ready = false
    for (const piece of cut(bytes, new Array(bytes.length).fill(size))) {
      login.fromServer(piece)
      ready = login.next()?.kind === 'ready'
    }
    assert.equal(ready, true, `pieces of ${size}`)
    assert.equal(login.rest().length, 0)
  }
})

for (const [when, answers, reason] of [
  ['a wrong password', '-WRONGPASS invalid username-password pair or user is disabled.|', 'authentication'],
  [
    'a password where there is none',
    '-ERR AUTH <password> called without any password configured|',
    'authentication',
  ],
  ['a server that is loading', '+OK|-LOADING Redis is loading the dataset in memory|', 'refused'],
  ['a database that does not exist', '+OK|-ERR DB index is out of range|', 'refused'],
  [
    'a user that may not select',
    "+OK|-NOPERM this user has no permissions to run the 'select' command|",
    'refused',
  ],
  ['protected mode', '-DENIED Redis is running in protected mode|', 'refused'],
] as const) {
  test(`${when}: ${reason}`, () => {
    const login = new RedisBackendLogin({ ...OPTIONS, password: 'p' }, 2)
    login.next()
    login.fromServer(raw(answers))
    const step = login.next()
    assert.equal(step?.kind === 'failed' && step.reason, reason)
    assert.deepEqual(login.next(), step)
  })
}

test('a server that does not know RESP3 is not supported', () => {
  const login = new RedisBackendLogin(OPTIONS, 3)
  login.next()
  login.fromServer(raw("-ERR unknown command 'HELLO', with args beginning with: '3' |"))
  const step = login.next()
  assert.equal(step?.kind === 'failed' && step.reason, 'unsupported')
})

test('a cluster is not supported', () => {
  const login = new RedisBackendLogin(OPTIONS, 3)
  login.next()
  login.fromServer(raw('%1|$4|mode|$7|cluster|'))
  const step = login.next()
  assert.equal(step?.kind === 'failed' && step.reason, 'unsupported')
})

test('a name that may not be set is no reason to give up', () => {
  const login = new RedisBackendLogin(OPTIONS, 2)
  login.next()
  login.fromServer(raw('+OK|-NOPERM no|'))
  assert.deepEqual(login.next(), { kind: 'ready' })
})
