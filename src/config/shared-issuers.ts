/**
 * Issuers that give tokens to everybody, and the claims that say whose a token is there; a table of data. A condition on one of
 * these counts when its text, up to the first star, names the owner whole: `octo/*` does, `octo*` is also met by `octopus`.
 */

type Tenancy = Readonly<Record<string, RegExp>>

const NUMBER = /^\d+$/
const WHOLE = /^[^*]+$/
const OWNER_AND_MORE = /^[^/*]+\//

const SHARED: Readonly<Record<string, Tenancy>> = {
  // https://docs.github.com/en/actions/reference/security/oidc
  'https://token.actions.githubusercontent.com': {
    repository: OWNER_AND_MORE,
    repository_owner: WHOLE,
    repository_id: NUMBER,
    repository_owner_id: NUMBER,
    sub: /^repo:[^/*]+\//,
  },
  // https://docs.gitlab.com/ci/secrets/id_token_authentication/
  'https://gitlab.com': {
    project_path: OWNER_AND_MORE,
    project_id: NUMBER,
    namespace_id: NUMBER,
    namespace_path: WHOLE,
    sub: /^project_path:[^/*]+\//,
  },
  // https://developers.google.com/identity/openid-connect/openid-connect
  'https://accounts.google.com': { sub: NUMBER, hd: WHOLE, email: WHOLE },
}

/** The claims that say whose a token of a shared issuer is; `undefined` for an issuer that is not known to be shared. */
export function tenantClaims(issuer: string): readonly string[] | undefined {
  const tenancy = SHARED[issuer]
  return tenancy && Object.keys(tenancy)
}

/** True where each value of the condition names an owner whole. */
export function namesTenant(
  issuer: string,
  claim: string,
  values: readonly (string | number | boolean)[],
): boolean {
  const owner = SHARED[issuer]?.[claim]
  return owner !== undefined && values.every((value) => owner.test(String(value)))
}
