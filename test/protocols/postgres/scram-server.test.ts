/** Our side of SCRAM-SHA-256 against our own client's, and against one that cheats. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ScramClient, ScramError } from '../../../protocols/postgres/scram.ts'
import { ScramFault, ScramServer } from '../../../protocols/postgres/scram-server.ts'
import { secretVerifier } from '../../../protocols/secret.ts'

const SECRET = 'correct-horse-battery-staple'
const verifier = secretVerifier(SECRET, Buffer.alloc(16, 3)).scramSha256
const binding = Buffer.alloc(32, 1)
const serverNonce = Buffer.alloc(18, 9)
const ours = (bound?: Buffer): ScramServer =>
  new ScramServer({ verifier, nonce: serverNonce, binding: bound })

function converse(
  server: ScramServer,
  password: string,
  more: { binding?: Buffer; serverBinds?: boolean } = {},
): boolean {
  const client = new ScramClient({
    password,
    nonce: Buffer.alloc(18, 5),
    binding: more.binding,
    serverBinds: more.serverBinds ?? server.mechanisms.includes('SCRAM-SHA-256-PLUS'),
  })
  const answer = client.respond(server.challenge(client.mechanism, client.initialResponse))
  const isProved = server.proves(answer)
  if (isProved) client.verify(server.final)
  else assert.throws(() => client.verify(server.final), ScramError)
  return isProved
}

test('who knows the secret proves it, and is proved that we know it', () => {
  assert.equal(converse(ours(), SECRET), true)
  assert.equal(converse(ours(binding), SECRET, { binding }), true, 'bound to the certificate')
  assert.equal(converse(ours(binding), SECRET), true, 'a client that cannot bind')
  assert.equal(converse(ours(), SECRET, { binding }), true, 'a client that could, where we do not offer it')
})

test('who does not know the secret proves nothing', () => {
  for (const password of ['', 'correct-horse-battery-stapl', `${SECRET}x`])
    assert.equal(converse(ours(), password), false)
})

test('a challenge names both nonces, the salt and the iterations, as in RFC 7677', () => {
  const scram = new ScramServer({
    verifier: secretVerifier('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64')).scramSha256,
    nonce: serverNonce,
    binding: undefined,
  })
  const first = scram.challenge('SCRAM-SHA-256', 'n,,n=user,r=rOprNGfwEbeRWgbNEkqO')
  assert.match(first, /^r=rOprNGfwEbeRWgbNEkqO[A-Za-z0-9+/=]+,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096$/)
})

test('a client that saw no offer of binding, though we made one, is turned away', () => {
  const client = new ScramClient({
    password: SECRET,
    nonce: Buffer.alloc(18, 5),
    binding,
    serverBinds: false,
  })
  assert.match(client.initialResponse, /^y,,/)
  assert.throws(
    () => ours(binding).challenge(client.mechanism, client.initialResponse),
    /channel binding negotiation/,
  )
})

test('a proof that is bound to another certificate is turned away', () => {
  const elsewhere = new ScramClient({
    password: SECRET,
    nonce: Buffer.alloc(18, 5),
    binding: Buffer.alloc(32, 2),
    serverBinds: true,
  })
  const server = ours(binding)
  const answer = elsewhere.respond(server.challenge(elsewhere.mechanism, elsewhere.initialResponse))
  assert.throws(() => server.proves(answer), /channel binding check failed/)
})

test('a final message of an earlier conversation proves nothing in another', () => {
  const client = new ScramClient({
    password: SECRET,
    nonce: Buffer.alloc(18, 5),
    binding: undefined,
    serverBinds: false,
  })
  const answer = client.respond(ours().challenge(client.mechanism, client.initialResponse))
  const other = new ScramServer({ verifier, nonce: Buffer.alloc(18, 8), binding: undefined })
  other.challenge(client.mechanism, client.initialResponse)
  assert.throws(() => other.proves(answer), /nonce/)
})

for (const [name, mechanism, first] of [
  ['an unknown mechanism', 'PLAIN', 'n,,n=,r=abc'],
  ['binding that was not offered', 'SCRAM-SHA-256-PLUS', 'p=tls-server-end-point,,n=,r=abc'],
  ['a bound header without the bound mechanism', 'SCRAM-SHA-256', 'p=tls-server-end-point,,n=,r=abc'],
  ['another identity', 'SCRAM-SHA-256', 'n,a=admin,n=,r=abc'],
  ['a mandatory extension', 'SCRAM-SHA-256', 'n,,m=x,n=,r=abc'],
  ['a mandatory extension behind', 'SCRAM-SHA-256', 'n,,n=,r=abc,m=x'],
  ['no nonce', 'SCRAM-SHA-256', 'n,,n=,r='],
  ['a nonce with a comma in it', 'SCRAM-SHA-256', 'n,,n=,r=a,b'],
  ['nothing', 'SCRAM-SHA-256', ''],
] as const) {
  test(`a first message with ${name} is turned away`, () => {
    assert.throws(() => ours().challenge(mechanism, first), ScramFault)
  })
}

test('a channel of another type is turned away', () => {
  assert.throws(
    () => ours(binding).challenge('SCRAM-SHA-256-PLUS', 'p=tls-unique,,n=,r=abc'),
    /channel binding negotiation/,
  )
  assert.throws(() => ours(binding).challenge('SCRAM-SHA-256-PLUS', 'n,,n=,r=abc'), ScramFault)
})

test('no other final message than the right one proves anything, and none throws but a ScramFault', () => {
  const client = new ScramClient({
    password: SECRET,
    nonce: Buffer.alloc(18, 5),
    binding: undefined,
    serverBinds: false,
  })
  const right = client.respond(ours().challenge(client.mechanism, client.initialResponse))
  const prove = (final: string): boolean => {
    const server = ours()
    server.challenge(client.mechanism, client.initialResponse)
    try {
      return server.proves(final)
    } catch (error) {
      assert.ok(error instanceof ScramFault)
      return false
    }
  }
  assert.equal(prove(right), true)
  const proof = right.slice(right.indexOf(',p=') + 3)
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => right + text),
        fc
          .nat(right.length - 1)
          .map((at) => `${right.slice(0, at)}${right[at] === 'A' ? 'B' : 'A'}${right.slice(at + 1)}`),
        fc
          .uint8Array({ minLength: 32, maxLength: 32 })
          .map((bytes) => right.replace(proof, Buffer.from(bytes).toString('base64'))),
      ),
      (final) => {
        // Base64 has more than one way to write the same bytes; the bytes are what proves.
        const same = Buffer.from(final.slice(final.indexOf(',p=') + 3), 'base64').equals(
          Buffer.from(proof, 'base64'),
        )
        if (!(same && final.startsWith(right.slice(0, right.indexOf(',p=')))))
          assert.equal(prove(final), false, final)
      },
    ),
  )
})

test('a server that was asked for no challenge accepts no proof', () => {
  assert.throws(() => ours().proves(`c=biws,r=x,p=${Buffer.alloc(32).toString('base64')}`), ScramFault)
})
