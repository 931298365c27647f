import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { exportJWK, generateKeyPair } from 'jose'
import { generate } from 'selfsigned'
import { CommandError } from './exit.ts'
import { STARTER_CONFIGURATION } from './starter-configuration.ts'

/** Days that the self-signed certificate is good. */
const CERTIFICATE_DAYS = 365

/** 256 random bits. */
const ADMIN_TOKEN_BYTES = 32

/** Makes keys, certificate and a starter configuration; never overwrites a file. @throws CommandError */
export async function init(options: { readonly folder: string }): Promise<void> {
  const { folder } = options
  const written = await writeKeys(folder)
  written.push(writeNew(join(folder, 'bulkhead.yaml'), STARTER_CONFIGURATION, 0o644))
  process.stdout.write(
    [
      ...written.map((path) => `wrote ${path}`),
      '',
      `Next: ${folder === '.' ? '' : `go to ${folder}, `}name your backends and grants in bulkhead.yaml, then`,
      '  bulkhead check-config',
      '  bulkhead serve',
      '  bulkhead issue --grant read-orders --run r-1',
      '',
    ].join('\n'),
  )
}

/** The issuer's key pair, a certificate for the listeners and the token of the admin API, in `folder/keys`; gives the paths. @throws CommandError */
export async function writeKeys(folder: string): Promise<string[]> {
  const keys = join(folder, 'keys')
  makeFolder(resolve(keys), 0o700)
  const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const certificate = await generate([{ name: 'commonName', value: 'bulkhead' }], {
    algorithm: 'sha256',
    keyType: 'ec',
    notAfterDate: new Date(Date.now() + CERTIFICATE_DAYS * 86_400_000),
    extensions: [
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  })
  return [
    writeNew(join(keys, 'issuer.jwk'), `${JSON.stringify(await exportJWK(pair.privateKey))}\n`, 0o600),
    writeNew(join(keys, 'issuer.pub.jwk'), `${JSON.stringify(await exportJWK(pair.publicKey))}\n`, 0o644),
    writeNew(join(keys, 'admin.token'), `${randomBytes(ADMIN_TOKEN_BYTES).toString('base64url')}\n`, 0o600),
    writeNew(join(keys, 'tls.key'), certificate.private, 0o600),
    writeNew(join(keys, 'tls.crt'), certificate.cert, 0o644),
  ]
}

/**
 * Makes a folder and those above it. Not by `recursive`: where a file system takes no folders (`/proc`, `/sys`), it answers that the
 * one above is missing though it is there, and Node goes round between the two without an end.
 */
function makeFolder(path: string, mode: number): void {
  if (existsSync(path)) {
    if (!statSync(path).isDirectory()) throw new CommandError(`${path} is not a folder`)
    return
  }
  makeFolder(dirname(path), mode)
  try {
    mkdirSync(path, { mode })
  } catch (error) {
    throw new CommandError(`cannot make the folder ${path}: ${(error as NodeJS.ErrnoException).code}`)
  }
}

function writeNew(path: string, text: string, mode: number): string {
  try {
    writeFileSync(path, text, { flag: 'wx', mode })
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code
    throw new CommandError(
      reason === 'EEXIST'
        ? `${path} exists already, and init overwrites nothing`
        : `cannot write ${path}: ${reason}`,
    )
  }
  return path
}
