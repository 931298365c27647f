import assert from 'node:assert/strict'
import { test } from 'node:test'
import { certificateTrouble, tlsOptions } from '../../../src/backends/tls.ts'

/** In short: whether the certificate is verified, whether its name is, and what the server is told we want. */
const CASES = [
  { tls: 'prefer', host: 'db1', verifies: false, names: false, servername: 'db1' },
  { tls: 'require', host: 'db1', verifies: false, names: false, servername: 'db1' },
  { tls: 'verify-ca', host: 'db1', verifies: true, names: false, servername: 'db1' },
  { tls: 'verify-full', host: 'db1', verifies: true, names: true, servername: 'db1' },
  { tls: 'verify-full', host: '10.0.0.5', verifies: true, names: true, servername: undefined },
  { tls: 'verify-full', host: '::1', verifies: true, names: true, servername: undefined },
] as const

for (const { tls, host, verifies, names, servername } of CASES) {
  test(`${tls} to ${host} ${verifies ? 'verifies the certificate' : 'takes any certificate'}${names ? ' and its name' : ''}`, () => {
    const options = tlsOptions({ tls, host, ca: undefined })
    assert.equal(options.rejectUnauthorized, verifies)
    assert.equal(options.checkServerIdentity === undefined, names)
    assert.equal(options.servername, servername)
    // The certificate is held against this where no server name is sent.
    assert.equal(options.host, host)
    assert.equal('ca' in options, false, 'without one, those of the system are trusted')
  })
}

test('an authority that is named is the only one trusted', () => {
  assert.equal(tlsOptions({ tls: 'verify-full', host: 'db1', ca: 'PEM' }).ca, 'PEM')
})

test('a certificate that is not accepted is told with what to do, and no other error is', () => {
  const told = certificateTrouble(new Error('certificate has expired'))
  assert.equal(
    told,
    'the certificate of the server is refused: certificate has expired: renew the certificate of the server',
  )
  for (const message of [
    'certificate is not yet valid',
    "Hostname/IP does not match certificate's altnames: IP: 10.0.0.5 is not in the cert's list: ",
    'self-signed certificate',
    'self-signed certificate in certificate chain',
    'unable to get issuer certificate',
    'unable to get local issuer certificate',
    'unable to verify the first certificate',
    'certificate signature failure',
  ]) {
    assert.match(
      certificateTrouble(new Error(message)) ?? '',
      /^the certificate of the server is refused: .*: /,
    )
  }
  assert.equal(certificateTrouble(new Error('connect ECONNREFUSED 10.0.0.5:5432')), undefined)
  assert.equal(certificateTrouble('certificate has expired'), undefined)
})
