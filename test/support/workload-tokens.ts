/** Claims of workload tokens as their issuers document them, with the names of an example. */
import type { JWTPayload } from 'jose'

/** https://docs.github.com/en/actions/concepts/security/openid-connect */
export const GITHUB: JWTPayload = {
  jti: '5d4bcd0f-9a3c-4b6b-8ab1-3c1f5f0d7a11',
  sub: 'repo:octo-org/octo-repo:ref:refs/heads/main',
  aud: 'https://bulkhead.example.com/shop',
  ref: 'refs/heads/main',
  sha: '2e8c1f8a7d6b5c4e3f2a1b0c9d8e7f6a5b4c3d2e',
  repository: 'octo-org/octo-repo',
  repository_owner: 'octo-org',
  repository_owner_id: '65',
  repository_visibility: 'private',
  repository_id: '74',
  actor: 'octocat',
  actor_id: '12',
  run_id: '9876543210',
  run_number: '10',
  run_attempt: '2',
  runner_environment: 'github-hosted',
  workflow: 'triage',
  workflow_ref: 'octo-org/octo-repo/.github/workflows/triage.yml@refs/heads/main',
  job_workflow_ref: 'octo-org/octo-repo/.github/workflows/triage.yml@refs/heads/main',
  head_ref: '',
  base_ref: '',
  event_name: 'workflow_dispatch',
  ref_type: 'branch',
  ref_protected: 'true',
  iss: 'https://token.actions.githubusercontent.com',
}

/** https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/#bound-service-account-tokens */
export const KUBERNETES: JWTPayload = {
  aud: ['bulkhead'],
  iss: 'https://oidc.cluster.example.com',
  jti: 'ea28ed49-2e11-4280-9ec5-bc3d1d84661a',
  'kubernetes.io': {
    namespace: 'agents',
    node: { name: 'node-1', uid: '646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1' },
    pod: { name: 'triage-7d4b9c6f5-x2x8q', uid: '5e0bd49b-f040-43b0-99b7-22765a53f7f3' },
    serviceaccount: { name: 'triage', uid: '14ee3fa4-a7e2-420f-9f9a-dbc4507c3798' },
    warnafter: 1_800_003_607,
  },
  sub: 'system:serviceaccount:agents:triage',
}

/** https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md: `sub`, `aud`, `exp`; SPIRE adds `iss` when told to. */
export const SPIFFE: JWTPayload = {
  sub: 'spiffe://example.org/agent/triage/i-42',
  aud: ['spiffe://example.org/bulkhead/shop'],
  iss: 'https://spire.example.org',
}

/** How the documentation maps each of them, as in `bulkhead.yaml`, without `jwks`. */
export const MAPPINGS = {
  github: {
    issuer: 'https://token.actions.githubusercontent.com',
    audience: { 'https://bulkhead.example.com/shop': 'shop' },
    claims: { agent: '{repository}/{workflow}', run: 'gh-{run_id}.{run_attempt}' },
    bind: [{ when: { repository: 'octo-org/octo-repo', ref: 'refs/heads/main' }, grant: 'triage' }],
  },
  kubernetes: {
    issuer: 'https://oidc.cluster.example.com',
    audience: { bulkhead: 'shop' },
    claims: { agent: '/kubernetes.io/serviceaccount/name', run: 'k8s-{/kubernetes.io/pod/uid}' },
    bind: [{ when: { sub: 'system:serviceaccount:agents:triage' }, grant: 'triage' }],
  },
  spiffe: {
    issuer: 'https://spire.example.org',
    audience: { 'spiffe://example.org/bulkhead/shop': 'shop' },
    claims: {
      parts: { sub: 'spiffe://example.org/agent/{name}/{instance}' },
      agent: '{name}',
      run: '{name}.{instance}',
    },
    bind: [{ when: { sub: 'spiffe://example.org/agent/triage/*' }, grant: 'triage' }],
  },
} as const
