/**
 * Ed25519 signatures by a secret of any length, as MariaDB's `client_ed25519` makes them.
 *
 * The scheme is RFC 8032 with one difference: the password itself takes the place of the 32-byte seed. That is why
 * `node:crypto`, which wants a seed of 32 bytes, cannot do it.
 *
 * Big integers take time that depends on their values. This is acceptable only because the secret is the proxy's own
 * password for a backend, used once for each connection that the proxy itself opens, never toward a client.
 */
import { createHash } from 'node:crypto'

/** 2^255 - 19, the prime of the field. */
const P = 2n ** 255n - 19n
/** The order of the base point. */
const L = 2n ** 252n + 27742317777372353535851937790883648493n
/** The constant of the curve, -121665/121666. */
const D = modulo(-121665n * inverse(121666n), P)

/** Extended homogeneous coordinates: x = X/Z, y = Y/Z, T = XY/Z. */
type Point = readonly [x: bigint, y: bigint, z: bigint, t: bigint]

const BASE_Y = modulo(4n * inverse(5n), P)
/** RFC 8032, section 5.1: the even x coordinate of the base point. */
const BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202n
const BASE: Point = [BASE_X, BASE_Y, 1n, modulo(BASE_X * BASE_Y, P)]

function modulo(value: bigint, modulus: bigint): bigint {
  const rest = value % modulus
  return rest < 0n ? rest + modulus : rest
}

/** By Fermat: a^(p-2). */
function inverse(value: bigint): bigint {
  let result = 1n
  let power = modulo(value, P)
  for (let exponent = P - 2n; exponent > 0n; exponent >>= 1n) {
    if (exponent & 1n) result = (result * power) % P
    power = (power * power) % P
  }
  return result
}

/** RFC 8032, section 5.1.4. */
function add(left: Point, right: Point): Point {
  const a = modulo((left[1] - left[0]) * (right[1] - right[0]), P)
  const b = modulo((left[1] + left[0]) * (right[1] + right[0]), P)
  const c = modulo(2n * left[3] * right[3] * D, P)
  const d = modulo(2n * left[2] * right[2], P)
  const e = b - a
  const f = d - c
  const g = d + c
  const h = b + a
  return [modulo(e * f, P), modulo(g * h, P), modulo(f * g, P), modulo(e * h, P)]
}

function multiplyBase(scalar: bigint): Point {
  let result: Point = [0n, 1n, 1n, 0n]
  let power = BASE
  for (let rest = scalar; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = add(result, power)
    power = add(power, power)
  }
  return result
}

function encodePoint(point: Point): Buffer {
  const z = inverse(point[2])
  const bytes = encodeNumber(modulo(point[1] * z, P))
  if (modulo(point[0] * z, P) & 1n) bytes.writeUInt8(bytes.readUInt8(31) | 0x80, 31)
  return bytes
}

function encodeNumber(value: bigint): Buffer {
  return Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse()
}

function decodeNumber(bytes: Buffer): bigint {
  return BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`)
}

function sha512(...parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha512')
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** @returns the 64 bytes of the signature */
export function ed25519Sign(secret: Buffer, message: Buffer): Buffer {
  const expanded = sha512(secret)
  const clamped = Buffer.from(expanded.subarray(0, 32))
  clamped.writeUInt8(clamped.readUInt8(0) & 0xf8, 0)
  clamped.writeUInt8((clamped.readUInt8(31) & 0x3f) | 0x40, 31)
  const scalar = decodeNumber(clamped)
  const publicKey = encodePoint(multiplyBase(scalar))
  const nonce = modulo(decodeNumber(sha512(expanded.subarray(32), message)), L)
  const commitment = encodePoint(multiplyBase(nonce))
  const challenge = modulo(decodeNumber(sha512(commitment, publicKey, message)), L)
  return Buffer.concat([commitment, encodeNumber(modulo(nonce + challenge * scalar, L))])
}
