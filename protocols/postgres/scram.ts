import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto'

/**
 * SCRAM-SHA-256 as a client, with and without channel binding.
 *
 *     client   n,,n=,r=<nonce>                            p=tls-server-end-point,,… with channel binding
 *     server   r=<nonce><its nonce>,s=<salt>,i=<iterations>
 *     client   c=<gs2 header and binding>,r=…,p=<proof>
 *     server   v=<signature>
 *
 * https://www.rfc-editor.org/rfc/rfc5802, https://www.postgresql.org/docs/current/sasl-authentication.html
 */
export class ScramClient {
  readonly mechanism: 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'
  readonly initialResponse: string
  readonly #nonce: string
  readonly #password: string
  readonly #channel: Buffer
  #expectedSignature: Buffer | undefined

  /**
   * @param options.nonce 18 random bytes or more
   * @param options.binding hash of the server's certificate; `undefined`: no channel binding can be done
   * @param options.serverBinds the server offered SCRAM-SHA-256-PLUS
   */
  constructor(options: {
    readonly password: string
    readonly nonce: Buffer
    readonly binding: Buffer | undefined
    readonly serverBinds: boolean
  }) {
    const { password, nonce, binding, serverBinds } = options
    const plus = serverBinds && binding !== undefined
    // `y`: we could have bound but saw no offer. A man in the middle who hid the offer is found out by it.
    const header = plus ? 'p=tls-server-end-point,,' : binding === undefined ? 'n,,' : 'y,,'
    this.mechanism = plus ? 'SCRAM-SHA-256-PLUS' : 'SCRAM-SHA-256'
    this.#channel = plus ? Buffer.concat([Buffer.from(header), binding]) : Buffer.from(header)
    // The server takes the user from the startup packet; the name in SCRAM is ignored.
    this.#nonce = nonce.toString('base64')
    this.initialResponse = `${header}n=,r=${this.#nonce}`
    this.#password = saslPrep(password)
  }

  /** Answers the server's first message. Throws `ScramError`. */
  respond(serverFirst: string): string {
    const { r: nonce, s: salt, i: iterations } = attributes(serverFirst)
    if (nonce === undefined || salt === undefined || iterations === undefined) {
      throw new ScramError('the server sent an incomplete SCRAM challenge')
    }
    if (!nonce.startsWith(this.#nonce) || nonce.length === this.#nonce.length) {
      throw new ScramError("the server's SCRAM nonce does not extend ours")
    }
    const count = Number(iterations)
    if (!Number.isInteger(count) || count < 1 || count > SCRAM_ITERATIONS_MAX) {
      throw new ScramError(`the server asks for ${iterations.slice(0, 20)} SCRAM iterations`)
    }
    const salted = pbkdf2Sync(this.#password, Buffer.from(salt, 'base64'), count, 32, 'sha256')
    const clientKey = hmac(salted, 'Client Key')
    const bare = `n=,r=${this.#nonce}`
    const withoutProof = `c=${this.#channel.toString('base64')},r=${nonce}`
    const signed = `${bare},${serverFirst},${withoutProof}`
    const signature = hmac(createHash('sha256').update(clientKey).digest(), signed)
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] ?? 0)))
    this.#expectedSignature = hmac(hmac(salted, 'Server Key'), signed)
    return `${withoutProof},p=${proof.toString('base64')}`
  }

  /** Checks that the server knew the password too. Throws `ScramError`. */
  verify(serverFinal: string): void {
    const signature = Buffer.from(attributes(serverFinal)['v'] ?? '', 'base64')
    const expected = this.#expectedSignature
    if (
      expected === undefined ||
      signature.length !== expected.length ||
      !timingSafeEqual(signature, expected)
    ) {
      throw new ScramError('the server could not prove that it knows the password')
    }
  }
}

export class ScramError extends Error {}

/** The server's default is 4096 (0.9 ms here); more than this would hold up every other session. */
const SCRAM_ITERATIONS_MAX = 100_000

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function attributes(message: string): Partial<Record<string, string>> {
  const found: Partial<Record<string, string>> = Object.create(null)
  for (const part of message.split(',')) if (part[1] === '=') found[part.charAt(0)] = part.slice(2)
  return found
}

/**
 * The part of SASLprep (RFC 4013) that changes ordinary passwords: other spaces become spaces, invisible
 * characters vanish, compatibility forms are joined.
 */
function saslPrep(password: string): string {
  return password
    .replace(/[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/g, ' ')
    .replace(/\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/g, '')
    .normalize('NFKC')
}

/**
 * The channel binding `tls-server-end-point`: the certificate's hash under the hash function of its signature,
 * SHA-256 in place of MD5 and SHA-1 (RFC 5929, section 4.1). `undefined` where that function is not known.
 *
 * @param certificate DER
 */
export function endPointBinding(certificate: Buffer): Buffer | undefined {
  const oid = signatureOid(certificate)
  const hash = oid === undefined ? undefined : SIGNATURE_HASHES[oid]
  return hash === undefined ? undefined : createHash(hash).update(certificate).digest()
}

/** DER of the signature algorithms (RFC 3279, 4055, 5758) in hexadecimal. */
const SIGNATURE_HASHES: Partial<Record<string, string>> = {
  '2a864886f70d010104': 'sha256', // md5WithRSAEncryption
  '2a864886f70d010105': 'sha256', // sha1WithRSAEncryption
  '2a864886f70d01010b': 'sha256', // sha256WithRSAEncryption
  '2a864886f70d01010c': 'sha384', // sha384WithRSAEncryption
  '2a864886f70d01010d': 'sha512', // sha512WithRSAEncryption
  '2a8648ce3d0401': 'sha256', // ecdsa-with-SHA1
  '2a8648ce3d040302': 'sha256', // ecdsa-with-SHA256
  '2a8648ce3d040303': 'sha384', // ecdsa-with-SHA384
  '2a8648ce3d040304': 'sha512', // ecdsa-with-SHA512
}

/** `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE, signatureAlgorithm SEQUENCE { OID … }, signature }`. */
function signatureOid(certificate: Buffer): string | undefined {
  const outer = derElement(certificate, 0)
  if (outer?.tag !== 0x30) return undefined
  const body = derElement(certificate, outer.start)
  if (body?.tag !== 0x30) return undefined
  const algorithm = derElement(certificate, body.end)
  if (algorithm?.tag !== 0x30) return undefined
  const oid = derElement(certificate, algorithm.start)
  return oid?.tag === 0x06 ? certificate.toString('hex', oid.start, oid.end) : undefined
}

type DerElement = { readonly tag: number; readonly start: number; readonly end: number }

function derElement(bytes: Buffer, at: number): DerElement | undefined {
  const tag = bytes[at]
  const first = bytes[at + 1]
  if (tag === undefined || first === undefined) return undefined
  let start = at + 2
  let length = first
  if (first >= 0x80) {
    const count = first - 0x80
    if (count < 1 || count > 4 || start + count > bytes.length) return undefined
    length = bytes.readUIntBE(start, count)
    start += count
  }
  return start + length <= bytes.length ? { tag, start, end: start + length } : undefined
}
