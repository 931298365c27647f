import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import selfsigned from 'selfsigned'
import { endPointBinding, ScramClient, ScramError } from '../../../protocols/postgres/scram.ts'

/** The salt and count of RFC 7677, section 3. The name is empty, as PostgreSQL wants it. */
const nonce = Buffer.from('rOprNGfwEbeRWgbNEkqO', 'base64')
const client = (more: { binding?: Buffer; serverBinds?: boolean } = {}): ScramClient =>
  new ScramClient({
    password: 'pencil',
    nonce,
    binding: more.binding,
    serverBinds: more.serverBinds ?? false,
  })
const serverNonce = `${nonce.toString('base64')}%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`
const challenge = `r=${serverNonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`

test('a server that keeps only the stored key accepts the proof, and its signature is accepted', () => {
  const scram = client()
  assert.equal(scram.initialResponse, `n,,n=,r=${nonce.toString('base64')}`)
  const answer = scram.respond(challenge)
  const [withoutProof = '', proof = ''] = answer.split(',p=')
  assert.equal(withoutProof, `c=biws,r=${serverNonce}`)
  // As the server does it: RFC 5802, section 3.
  const salted = pbkdf2Sync('pencil', Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64'), 4096, 32, 'sha256')
  const storedKey = sha256(hmac(salted, 'Client Key'))
  const signed = `n=,r=${nonce.toString('base64')},${challenge},${withoutProof}`
  const signature = hmac(storedKey, signed)
  const clientKey = Buffer.from(proof, 'base64').map((byte, at) => byte ^ (signature[at] ?? 0))
  assert.deepEqual(sha256(Buffer.from(clientKey)), storedKey)
  scram.verify(`v=${hmac(hmac(salted, 'Server Key'), signed).toString('base64')}`)
})

const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()
const hmac = (key: Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

test('a server that does not know the password is found out', () => {
  const scram = client()
  scram.respond(challenge)
  assert.throws(() => scram.verify('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4='), ScramError)
  assert.throws(() => scram.verify(''), ScramError)
  assert.throws(() => client().verify('v='), ScramError, 'before any challenge')
})

for (const [name, bad] of [
  ['a nonce that is not ours', 'r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'],
  ['our nonce alone', `r=${nonce.toString('base64')},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`],
  ['no salt', `r=${serverNonce},i=4096`],
  ['iterations that would hold up everyone', `r=${serverNonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=2000000000`],
  ['no number of iterations', `r=${serverNonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=x`],
  ['nothing', ''],
] as const) {
  test(`a challenge with ${name} is refused`, () => {
    assert.throws(() => client().respond(bad), ScramError)
  })
}

test('channel binding is used where both can, and its absence is said where only we can', () => {
  const binding = Buffer.alloc(32, 1)
  assert.equal(client({ binding, serverBinds: true }).mechanism, 'SCRAM-SHA-256-PLUS')
  assert.match(client({ binding, serverBinds: true }).initialResponse, /^p=tls-server-end-point,,/)
  assert.match(client({ binding, serverBinds: false }).initialResponse, /^y,,/)
  assert.match(client({ serverBinds: true }).initialResponse, /^n,,/)
})

test('the end point of a certificate is its hash under the function of its signature', async () => {
  for (const algorithm of ['sha256', 'sha384', 'sha512'] as const) {
    const { cert } = await selfsigned.generate([{ name: 'commonName', value: 'db' }], {
      algorithm,
      keySize: 2048,
    })
    const { raw } = new X509Certificate(cert)
    assert.deepEqual(endPointBinding(raw), createHash(algorithm).update(raw).digest())
  }
})

test('bytes that are no certificate bind nothing', () => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from([0x30]),
    Buffer.from([0x30, 0x84, 255, 255, 255, 255]),
    Buffer.alloc(50, 0x30),
  ])
    assert.equal(endPointBinding(bytes), undefined)
})
