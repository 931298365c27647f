import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { SecretVerifier } from '../secret.ts'

/**
 * SCRAM-SHA-256 as a server that keeps verifiers only, with and without channel binding: the other side of `scram.ts`,
 * where the messages are drawn.
 *
 * https://www.rfc-editor.org/rfc/rfc5802, https://www.postgresql.org/docs/current/sasl-authentication.html
 */
export class ScramServer {
  /** What is offered, the better first. */
  readonly mechanisms: readonly Mechanism[]
  readonly #verifier: SecretVerifier['scramSha256']
  readonly #nonce: string
  readonly #binding: Buffer | undefined
  #exchange: Exchange | undefined
  #signature = ''

  /**
   * @param options.nonce 18 random bytes or more
   * @param options.binding hash of our own certificate; `undefined`: no channel binding is offered
   */
  constructor(options: {
    readonly verifier: SecretVerifier['scramSha256']
    readonly nonce: Buffer
    readonly binding: Buffer | undefined
  }) {
    this.#verifier = options.verifier
    this.#nonce = options.nonce.toString('base64')
    this.#binding = options.binding
    this.mechanisms = options.binding === undefined ? [PLAIN] : [PLUS, PLAIN]
  }

  /** Answers the client's first message. Throws `ScramFault`. */
  challenge(mechanism: string, clientFirst: string): string {
    if (!this.mechanisms.some((offered) => offered === mechanism))
      throw new ScramFault('client selected an invalid SASL authentication mechanism')
    const match = CLIENT_FIRST.exec(clientFirst)
    if (match === null) throw new ScramFault('malformed SCRAM message')
    const [, header = '', flag = '', bare = '', nonce = ''] = match
    // `y`: the client could have bound, and saw no offer. Where we made one, somebody has hidden it.
    const fits =
      mechanism === PLUS
        ? flag === 'p=tls-server-end-point'
        : flag === 'n' || (flag === 'y' && this.#binding === undefined)
    if (!fits) throw new ScramFault('SCRAM channel binding negotiation error')
    const joined = nonce + this.#nonce
    const { salt, iterations } = this.#verifier
    const serverFirst = `r=${joined},s=${salt.toString('base64')},i=${iterations}`
    const bound = mechanism === PLUS ? (this.#binding ?? NO_BYTES) : NO_BYTES
    const channel = Buffer.concat([Buffer.from(header), bound]).toString('base64')
    this.#exchange = { nonce: joined, channel, signed: `${bare},${serverFirst}` }
    return serverFirst
  }

  /** True where the client's final message proves the secret. Throws `ScramFault`. */
  proves(clientFinal: string): boolean {
    const exchange = this.#exchange
    const match = CLIENT_FINAL.exec(clientFinal)
    if (exchange === undefined || match === null) throw new ScramFault('malformed SCRAM message')
    const [, withoutProof = '', channel = '', nonce = '', proof = ''] = match
    if (channel !== exchange.channel) throw new ScramFault('SCRAM channel binding check failed')
    if (nonce !== exchange.nonce) throw new ScramFault('invalid SCRAM response: the nonce does not match')
    const { storedKey, serverKey } = this.#verifier
    const signed = `${exchange.signed},${withoutProof}`
    const mask = hmac(storedKey, signed)
    const given = Buffer.from(proof, 'base64')
    if (given.length !== mask.length) throw new ScramFault('malformed SCRAM message')
    const clientKey = Buffer.from(mask.map((byte, at) => byte ^ (given[at] as number)))
    this.#signature = hmac(serverKey, signed).toString('base64')
    return timingSafeEqual(createHash('sha256').update(clientKey).digest(), storedKey)
  }

  /** Our last message, by which the client sees that we know its secret too. */
  get final(): string {
    return `v=${this.#signature}`
  }
}

/** The client broke the rules of the exchange; the message is for it. */
export class ScramFault extends Error {}

const PLAIN = 'SCRAM-SHA-256'
const PLUS = 'SCRAM-SHA-256-PLUS'
type Mechanism = typeof PLAIN | typeof PLUS

type Exchange = {
  readonly nonce: string
  /** What the client's `c=` must say: the header of its first message, and the binding. */
  readonly channel: string
  /** The part of what is signed that is known before the final message. */
  readonly signed: string
}

/**
 * gs2 header (flag, no authorization identity) and the bare message. The user's name is that of the startup packet
 * whatever stands here; `m=`, the mandatory extensions, have no place in it and so are refused. A nonce is printable
 * ASCII without commas.
 */
const CLIENT_FIRST = /^((p=[A-Za-z0-9.-]+|n|y),,)(n=[^,\0]*,r=([!-+\--~]{1,256})(?:,[A-Za-ln-z]=[^,\0]*)*)$/

const CLIENT_FINAL = /^(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)(?:,[A-Za-oq-z]=[^,\0]*)*),p=([A-Za-z0-9+/=]+)$/

const NO_BYTES = Buffer.alloc(0)

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}
