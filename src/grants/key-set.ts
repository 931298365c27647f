/**
 * The key set of an issuer behind an address: fetched when first needed, kept, and fetched again when it is old or when a
 * token names a key that it does not hold. An endpoint that fails or hangs holds up no login for longer than one fetch, and
 * none at all while what was fetched before is good enough.
 */
import { get as getHttp } from 'node:http'
import { get as getHttps } from 'node:https'
import { createLocalJWKSet, errors, type JWK, type JWTVerifyGetKey } from 'jose'
import { responseText } from '../response-text.ts'

/** After this long a set is fetched again, behind the logins that use it. */
const FRESH_MS = 600_000

/** A set that cannot be fetched again is believed for so long: until then, a key that its issuer took back is too. */
const STALE_MS_MAX = 3_600_000

/** A key that is not in the set asks for it again no sooner than this: strangers can name keys as they like. */
const COOLDOWN_MS = 30_000

/** How long a fetch may take. */
const FETCH_MS_MAX = 3_000

/** After a failed fetch the next waits so long, and twice as long each time. */
const RETRY_MS_MIN = 1_000
const RETRY_MS_MAX = 60_000

/** Far above any set: one key takes less than 1 KiB. */
const SET_BYTES_MAX = 1 << 20

/** The set cannot be had now. */
class KeysUnavailable extends Error {
  readonly code = 'KEYS_UNAVAILABLE'

  constructor(cause: unknown) {
    super('the key set of the issuer cannot be had', { cause })
    this.name = 'KeysUnavailable'
  }
}

type KeySetOptions = {
  readonly url: URL
  /** PEM of the authorities to trust instead of the system's. */
  readonly ca?: string
  /** Milliseconds that only ever grow. */
  readonly now: () => number
}

export class RemoteKeySet {
  readonly #options: KeySetOptions
  #keys: JWTVerifyGetKey | undefined
  #fetchedAtMs = Number.NEGATIVE_INFINITY
  #triedAtMs = Number.NEGATIVE_INFINITY
  #failures = 0
  #pending: Promise<void> | undefined

  constructor(options: KeySetOptions) {
    this.#options = options
  }

  /** Finds the key of a token. @throws KeysUnavailable, JWKSNoMatchingKey */
  readonly key: JWTVerifyGetKey = async (header, token) => {
    const keys = await this.#current()
    try {
      return await keys(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !this.#mayAskAgain()) throw error
      const again = await this.#fetched().then(
        () => this.#keys,
        () => undefined,
      )
      if (again === undefined) throw error
      return again(header, token)
    }
  }

  async #current(): Promise<JWTVerifyGetKey> {
    const ageMs = this.#options.now() - this.#fetchedAtMs
    if (this.#keys !== undefined && ageMs < STALE_MS_MAX) {
      // What comes of it is seen at the next login.
      if (ageMs >= FRESH_MS && this.#mayRetry()) this.#fetched().catch(() => undefined)
      return this.#keys
    }
    if (this.#pending === undefined && !this.#mayRetry()) throw new KeysUnavailable(undefined)
    await this.#fetched()
    if (this.#keys === undefined) throw new KeysUnavailable(undefined)
    return this.#keys
  }

  #mayRetry(): boolean {
    if (this.#failures === 0) return true
    const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (this.#failures - 1))
    return this.#options.now() - this.#triedAtMs >= waitMs
  }

  #mayAskAgain(): boolean {
    return this.#pending !== undefined || this.#options.now() - this.#triedAtMs >= COOLDOWN_MS
  }

  /** Logins that need the set at the same moment share one fetch. */
  #fetched(): Promise<void> {
    this.#pending ??= this.#fetch().finally(() => {
      this.#pending = undefined
    })
    return this.#pending
  }

  async #fetch(): Promise<void> {
    const { url, ca, now } = this.#options
    this.#triedAtMs = now()
    try {
      this.#keys = createLocalJWKSet({ keys: [...readKeySet(await textOf(url, ca))] })
      this.#fetchedAtMs = now()
      this.#failures = 0
    } catch (error) {
      this.#failures += 1
      throw new KeysUnavailable(error)
    }
  }
}

/**
 * The keys of a JWK Set (RFC 7517, section 5) that can verify. Shared secrets are none of them; a private key in a set
 * that anybody may read is no secret any more, and its set is refused.
 * @throws Error in a sentence
 */
export function readKeySet(text: string): readonly JWK[] {
  const set = JSON.parse(text) as { readonly keys?: unknown } | null
  if (!Array.isArray(set?.keys)) throw new Error('this is not a JSON Web Key Set (RFC 7517)')
  const keys = (set.keys as unknown[]).filter(isKey)
  if (keys.some(({ d }) => d !== undefined)) throw new Error('the set holds a private key')
  const usable = keys.flatMap((key) => {
    if (key.kty !== 'OKP' && key.kty !== 'EC' && key.kty !== 'RSA') return []
    // In a SPIFFE bundle the keys of X.509 documents stand beside those of tokens, each with a `use` of its own.
    if (key.use === 'jwt-svid') return [{ ...key, use: 'sig' }]
    return key.use === undefined || key.use === 'sig' ? [key] : []
  })
  if (usable.length === 0) throw new Error('the set holds no key that can verify a token')
  return usable
}

function isKey(value: unknown): value is JWK {
  return value !== null && typeof value === 'object' && 'kty' in value && typeof value.kty === 'string'
}

/** Redirects are not followed: they would lead away from the address that was trusted. */
function textOf(url: URL, ca: string | undefined): Promise<string> {
  const options = {
    signal: AbortSignal.timeout(FETCH_MS_MAX),
    headers: { accept: 'application/jwk-set+json, application/json' },
    ...(ca !== undefined && { ca }),
  }
  return new Promise((resolve, reject) => {
    const request = (url.protocol === 'https:' ? getHttps : getHttp)(url, options, (response) => {
      if (response.statusCode !== 200) {
        request.destroy(new Error(`the key set's address answers ${response.statusCode}`))
        return
      }
      responseText(response, SET_BYTES_MAX).then(resolve, reject)
    })
    request.on('error', reject)
  })
}
