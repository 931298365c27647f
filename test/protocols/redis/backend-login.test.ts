import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
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
const ID_AND_THESE = `*2|$6|CLIENT|$2|ID|${SELECT_AND_NAME}`

test('no password: nothing but the database and a name', () => {
  assert.equal(asked({}, 2), ID_AND_THESE)
  assert.equal(asked({}, 3), `*2|$5|HELLO|$1|3|${SELECT_AND_NAME}`)
})

test('requirepass: the short AUTH', () => {
  assert.equal(asked({ password: 'p' }, 2), `*2|$4|AUTH|$1|p|${ID_AND_THESE}`)
  assert.equal(asked({ password: 'p' }, 3), `*5|$5|HELLO|$1|3|$4|AUTH|$7|default|$1|p|${SELECT_AND_NAME}`)
})

test('an ACL user: the long AUTH', () => {
  assert.equal(asked({ user: 'u', password: 'p' }, 2), `*3|$4|AUTH|$1|u|$1|p|${ID_AND_THESE}`)
})

test('TLS comes before the first byte', () => {
  const login = new RedisBackendLogin({ ...OPTIONS, tls: 'verify-full' }, 2)
  assert.deepEqual(login.next(), { kind: 'start_tls' })
  assert.deepEqual(login.takeForServer(), [])
  login.tlsStarted()
  assert.equal(login.next(), undefined)
  assert.equal(text(login.takeForServer()), ID_AND_THESE)
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
  ['a server that is loading', '+OK|:9|-LOADING Redis is loading the dataset in memory|', 'refused'],
  ['a database that does not exist', '+OK|:9|-ERR DB index is out of range|', 'refused'],
  [
    'a user that may not select',
    "+OK|:9|-NOPERM this user has no permissions to run the 'select' command|",
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
  login.fromServer(raw(':9|+OK|-NOPERM no|'))
  assert.deepEqual(login.next(), { kind: 'ready' })
})

describe('what waits is ended from another connection', () => {
  const ready = (version: 2 | 3, answers: string, options: Partial<BackendLoginOptions> = {}) => {
    const login = new RedisBackendLogin({ ...OPTIONS, ...options }, version)
    login.next()
    login.fromServer(raw(answers))
    assert.deepEqual(login.next(), { kind: 'ready' })
    return login
  }
  const UNBLOCK = '*4|$6|CLIENT|$7|UNBLOCK|$2|41|$5|ERROR|'

  test('by the number that HELLO tells', () => {
    const cancel = ready(3, '%2|$5|proto|:3|$2|id|:41|+OK|+OK|', { password: 'p' }).cancel()
    assert.equal(cancel?.next(), undefined)
    assert.equal(text(cancel?.takeForServer() ?? []), `*5|$5|HELLO|$1|3|$4|AUTH|$7|default|$1|p|${UNBLOCK}`)
    cancel?.fromServer(raw('%0|:1|'))
    assert.deepEqual(cancel?.next(), { kind: 'ready' })
  })
  test('by the number that CLIENT ID tells', () => {
    const cancel = ready(2, ':41|+OK|+OK|').cancel()
    assert.equal(cancel?.next(), undefined)
    assert.equal(text(cancel?.takeForServer() ?? []), UNBLOCK)
    cancel?.fromServer(raw(':0|'))
    assert.deepEqual(cancel?.next(), { kind: 'ready' })
  })
  test('over TLS where this connection is', () => {
    const login = new RedisBackendLogin({ ...OPTIONS, tls: 'require' }, 2)
    login.next()
    login.tlsStarted()
    login.next()
    login.fromServer(raw(':41|+OK|+OK|'))
    login.next()
    assert.deepEqual(login.cancel()?.next(), { kind: 'start_tls' })
  })
  test('not where the server has not told the number', () => {
    assert.equal(ready(2, '-NOPERM no|+OK|+OK|').cancel(), undefined)
    assert.equal(ready(3, '%0|+OK|+OK|').cancel(), undefined)
  })
  test('not where the user may not do it', () => {
    const cancel = ready(2, ':41|+OK|+OK|').cancel()
    cancel?.next()
    cancel?.fromServer(raw("-NOPERM User u has no permissions to run the 'client|unblock' command|"))
    const step = cancel?.next()
    assert.equal(step?.kind === 'failed' && step.reason, 'refused')
  })
})
