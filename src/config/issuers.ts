/** A written issuer to its checked form. */
import { claimParts, claimPath, claimPattern, claimTemplate, MappingError } from '../grants/claim-mapping.ts'
import type { IssuerConfig, Reporter } from './config.ts'
import type { WrittenConfiguration } from './schema.ts'
import { isLoopback, readFile, readPem } from './sections.ts'
import { namesTenant, tenantClaims } from './shared-issuers.ts'

type WrittenIssuer = WrittenConfiguration['issuers'][number]
type WrittenBinding = NonNullable<WrittenIssuer['bind']>[number]
type Path = readonly (string | number)[]

/** Claims that whoever asks for a token chooses, or that every token has: they say nothing of whose it is. */
const SAYS_NOTHING: ReadonlySet<string> = new Set(['aud', 'iss', 'exp', 'nbf', 'iat', 'jti', 'typ', 'azp'])

export function readIssuer(
  index: number,
  written: WrittenConfiguration,
  folder: string,
  report: Reporter,
): IssuerConfig | undefined {
  const path = ['issuers', index]
  const issuer = written.issuers[index]
  const keys = issuer && readKeys(issuer, folder, path, report)
  if (issuer === undefined || keys === undefined) return undefined
  for (const [audience, system] of Object.entries(issuer.audience ?? {})) {
    if (written.systems[system] === undefined) {
      report([...path, 'audience', audience], `there is no system \`${system}\``, {
        mend: `write one of ${Object.keys(written.systems).join(', ')}`,
      })
    }
  }
  const mapping = readMapping(issuer, written, path, report)
  return {
    issuer: issuer.issuer,
    keys,
    grants: issuer.grants,
    ...(issuer.audience !== undefined && { audience: issuer.audience }),
    ...(mapping !== undefined && { mapping }),
  }
}

function readKeys(
  { key, jwks, ca }: WrittenIssuer,
  folder: string,
  path: Path,
  report: Reporter,
): IssuerConfig['keys'] | undefined {
  if ((key === undefined) === (jwks === undefined)) {
    report(path, 'an issuer has either `key` or `jwks`', { mend: 'write exactly one of the two' })
    return undefined
  }
  if (key !== undefined) {
    if (ca !== undefined) report([...path, 'ca'], 'a key in a file needs no authority', { mend: 'remove it' })
    return { kind: 'jwk', text: readFile(key, folder, [...path, 'key'], report) }
  }
  const url = URL.canParse(jwks ?? '') ? new URL(jwks ?? '') : undefined
  const safe = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))
  if (url === undefined || !safe) {
    report([...path, 'jwks'], 'not an https address', {
      mend: 'write the `https://…` address of the key set',
    })
    return undefined
  }
  return { kind: 'jwks', url, ...(ca !== undefined && { ca: readPem(ca, folder, [...path, 'ca'], report) }) }
}

/** `undefined` where the issuer's tokens have Bulkhead's own claims. */
function readMapping(
  issuer: WrittenIssuer,
  written: WrittenConfiguration,
  path: Path,
  report: Reporter,
): IssuerConfig['mapping'] {
  const { claims, bind, grants } = issuer
  if (claims === undefined && bind === undefined) return undefined
  if (claims === undefined || bind === undefined) {
    report(path, 'tokens whose claims are mapped name no grant, and those that are bound name no run', {
      mend: 'write both `claims` and `bind`, or neither',
    })
    return undefined
  }
  if (grants === 'inline') {
    report([...path, 'grants'], 'an issuer with `bind` defines no grants', { mend: 'remove it' })
  }
  for (const [claim, text] of Object.entries(claims.parts)) {
    check(() => claimParts(claim, text), [...path, 'claims', 'parts', claim], report)
  }
  for (const key of ['agent', 'run'] as const) {
    check(() => claimTemplate(claims[key]), [...path, 'claims', key], report)
  }
  const bound = bind.flatMap((binding, index) => {
    const place = [...path, 'bind', index]
    checkConditions(issuer.issuer, binding, place, report)
    const system = written.grants[binding.grant]?.system
    if (system !== undefined) return [{ ...binding, system }]
    report([...place, 'grant'], `there is no grant \`${binding.grant}\``, {
      mend: `write one of ${Object.keys(written.grants).join(', ')}`,
    })
    return []
  })
  return { ...claims, bind: bound }
}

/** A binding that anybody's token fits would give its grant to everybody who can get one. */
function checkConditions(issuer: string, { when }: WrittenBinding, path: Path, report: Reporter): void {
  const telling = Object.entries(when).filter(([claim, values]) => {
    check(() => [claimPath(claim), ...[values].flat().map(claimPattern)], [...path, 'when', claim], report)
    // A pattern that begins with a star is met by names that anybody may choose.
    return !SAYS_NOTHING.has(claim) && [values].flat().every((value) => !String(value).startsWith('*'))
  })
  if (telling.length === 0) {
    report([...path, 'when'], 'no condition here says whose token it is', {
      mend: 'name a claim that the issuer alone sets, such as `repository` or `sub`, with a value that begins with a text',
    })
    return
  }
  const tenant = tenantClaims(issuer)
  if (tenant === undefined || telling.some(([claim, values]) => namesTenant(issuer, claim, [values].flat())))
    return
  report(
    [...path, 'when'],
    `everybody can get a token of ${issuer}, and no condition here names whose it is`,
    {
      mend: `add one of ${tenant.join(', ')}, written out to the end of the owner's name`,
    },
  )
}

function check(read: () => unknown, path: Path, report: Reporter): void {
  try {
    read()
  } catch (error) {
    if (!(error instanceof MappingError)) throw error
    report(path, error.message, { mend: 'see docs/tokens.md' })
  }
}
