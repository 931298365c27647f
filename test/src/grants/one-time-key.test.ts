import assert from 'node:assert/strict'
import { createPublicKey, sign, verify } from 'node:crypto'
import { test } from 'node:test'
import { newSeed, publicKeyOf, signingKey, verifyingKey } from '../../../src/grants/one-time-key.ts'

/** RFC 8032, section 7.1, test 1. */
const SEED = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex')
const POINT = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex')

test('a seed gives the public key that the standard says', () => {
  assert.equal(publicKeyOf(SEED.toString('base64url')), POINT.toString('base64url'))
})

test('what one key signs, its public key verifies, and no other', () => {
  const [mine, other] = [newSeed(), newSeed()]
  const signature = sign(null, Buffer.from('text'), signingKey(mine))
  for (const [seed, good] of [
    [mine, true],
    [other, false],
  ] as const) {
    const key = verifyingKey(publicKeyOf(seed) ?? '')
    assert.ok(key)
    assert.equal(verify(null, Buffer.from('text'), key, signature), good)
  }
})

const noKeys: readonly (readonly [string, string])[] = [
  ['is too short', SEED.subarray(1).toString('base64url')],
  ['is too long', Buffer.concat([SEED, SEED]).toString('base64url')],
  ['is empty', ''],
  ['is padded', `${SEED.toString('base64url')}=`],
  ['is in the other alphabet of base64', Buffer.alloc(32, 0xff).toString('base64').replace(/=$/, '')],
  ['has spare bits set', `${SEED.toString('base64url').slice(0, -1)}h`],
]
for (const [what, text] of noKeys) {
  test(`what ${what} is no key`, () => {
    assert.equal(publicKeyOf(text), undefined)
    assert.equal(verifyingKey(text), undefined)
    assert.throws(() => signingKey(text), RangeError)
  })
}

const FIELD = 2n ** 255n - 19n
const bytesOf = (y: bigint): Buffer => Buffer.from(y.toString(16).padStart(64, '0'), 'hex').reverse()

/** Every spelling of the points of small order: the eight, and those with the sign bit or a y beyond the field. */
const ORDER_EIGHT = [
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
]
const smallOrder = [
  ...[0n, 1n, FIELD - 1n, FIELD, FIELD + 1n].map(bytesOf),
  ...ORDER_EIGHT.map((hex) => Buffer.from(hex, 'hex')),
].flatMap((bytes) => {
  const signed = Buffer.from(bytes)
  signed[31] = (signed[31] ?? 0) | 0x80
  return [bytes, signed]
})

test('no point of small order is taken for a key, however it is written', () => {
  for (const point of smallOrder)
    assert.equal(verifyingKey(point.toString('base64url')), undefined, point.toString('hex'))
})

test("the two points of order eight are each other's negative, so that neither is a slip of the pen", () => {
  const [a, b] = ORDER_EIGHT.map((hex) => BigInt(`0x${Buffer.from(hex, 'hex').reverse().toString('hex')}`))
  assert.equal((a ?? 0n) + (b ?? 0n), FIELD)
})

test('under such a key OpenSSL takes a signature that nobody made, which is why they are refused', () => {
  const identity = bytesOf(1n)
  const key = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: identity.toString('base64url') },
    format: 'jwk',
  })
  const forged = Buffer.concat([identity, Buffer.alloc(32)])
  assert.equal(verify(null, Buffer.from('whatever'), key, forged), true)
})
