/** TLS to a backend: the same whoever dials, the control connection or a session. */
import { isIP } from 'node:net'
import type { BackendAddress, BackendTarget } from './backend.ts'

type TlsOptions = {
  readonly host: string
  readonly servername?: string
  readonly ca?: string
  readonly rejectUnauthorized: boolean
  readonly checkServerIdentity?: () => undefined
}

/**
 * What `tls.connect` and the drivers that use it are given.
 * @param target its `tls` is not `disable`
 */
export function tlsOptions({
  tls,
  ca,
  host,
}: Pick<BackendTarget, 'tls' | 'ca'> & Pick<BackendAddress, 'host'>): TlsOptions {
  return {
    // What the certificate is held against: for a socket that is connected to an address, Node takes `localhost` otherwise.
    host,
    ...(isIP(host) === 0 && { servername: host }),
    ...(ca !== undefined && { ca }),
    rejectUnauthorized: tls === 'verify-ca' || tls === 'verify-full',
    // verify-ca trusts the authority for any name; verify-full checks the name as well.
    ...(tls !== 'verify-full' && { checkServerIdentity: () => undefined }),
  }
}

const NAME_AUTHORITY = 'name a file with the authority that signed it as `backend.ca`'

/**
 * What to do where the server's certificate is not accepted, by how the sentence of OpenSSL or Node begins: the drivers pass that on, but
 * not all of them its code. https://docs.openssl.org/3.0/man3/X509_STORE_CTX_get_error/
 */
const MENDS: readonly (readonly [sentence: string, mend: string])[] = [
  ['certificate has expired', 'renew the certificate of the server'],
  ['certificate is not yet valid', 'compare the clocks of both machines'],
  [
    "Hostname/IP does not match certificate's altnames",
    'name the server in `backend.url` as its certificate does, or write `tls: verify-ca`',
  ],
  ['self-signed certificate in certificate chain', NAME_AUTHORITY],
  ['self-signed certificate', 'name a file with this certificate as `backend.ca`'],
  ['unable to get issuer certificate', NAME_AUTHORITY],
  ['unable to get local issuer certificate', NAME_AUTHORITY],
  ['unable to verify the first certificate', NAME_AUTHORITY],
  ['certificate signature failure', '`backend.ca` is not the authority that signed it'],
]

/** Why a certificate is not accepted, with what to do; `undefined`: the error is of another kind. */
export function certificateTrouble(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const [, mend] = MENDS.find(([sentence]) => error.message.startsWith(sentence)) ?? []
  return mend === undefined
    ? undefined
    : `the certificate of the server is refused: ${error.message}: ${mend}`
}
