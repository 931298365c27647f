/**
 * The shape of `bulkhead.yaml`. Every key is named here; an unknown one is an error. What crosses sections (a
 * grant's system, an allow line's protocol) is checked in `load.ts`.
 */
import { z } from 'zod'
import { HOP_KINDS } from '../../protocols/analysis.ts'
import { PROTOCOL_NAMES } from '../../protocols/protocol.ts'
import { METADATA_LEVELS } from '../grants/grant.ts'
import { duration, limits } from '../grants/limits.ts'
import { writtenAudit } from './audit.ts'
import { writtenExport, writtenWebhook } from './exports.ts'

/** Names of systems and grants: they stand in tokens, metrics and records. */
const name = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/,
    'write 1 to 63 letters, digits, `_`, `.` or `-`, beginning with a letter or digit',
  )

/** `host:port`, `[::1]:port`. Port 0 lets the system choose a free one. */
const address = z.string().transform((text, context) => {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  const host = match?.[1] ?? match?.[2]
  if (host === undefined || port > 65_535) {
    context.addIssue({
      code: 'custom',
      message: 'write `host:port`, such as `127.0.0.1:6432` or `[::1]:6432`',
    })
    return z.NEVER
  }
  return { host, port }
})

const allow = z.array(z.string()).max(1_000)

const backend = z.strictObject({
  url: z.string(),
  password: z.string().optional(),
  tls: z.enum(['disable', 'prefer', 'require', 'verify-ca', 'verify-full']).optional(),
  ca: z.string().optional(),
  schema: z.string().min(1).max(63).optional(),
  sentinel: z
    .strictObject({
      addresses: z.array(address).min(1).max(32),
      user: z.string().min(1).optional(),
      password: z.string().optional(),
      tls: z.enum(['disable', 'require', 'verify-ca', 'verify-full']).optional(),
    })
    .optional(),
})

const system = z.strictObject({
  protocol: z.enum(PROTOCOL_NAMES),
  listen: address,
  backend: backend.optional(),
  decoy: z.boolean().default(false),
  tls: z.strictObject({ cert: z.string(), key: z.string() }).optional(),
  allow_cleartext_password: z.boolean().default(false),
  rsa_key: z.string().optional(),
  ceiling: allow.optional(),
  ceiling_metadata: z.enum(METADATA_LEVELS).optional(),
  limits: limits.default({}),
  observe: z.boolean().default(false),
  decoys: z.array(z.string()).max(1_000).default([]),
})

const grant = z.strictObject({
  system: name,
  allow,
  metadata: z.enum(METADATA_LEVELS).default('driver'),
  limits: limits.default({}),
  observe: z.boolean().default(false),
})

const claimValue = z.union([z.string().min(1).max(512), z.int(), z.boolean()])

const binding = z.strictObject({
  when: z.record(z.string().min(1).max(256), z.union([claimValue, z.array(claimValue).min(1).max(1_000)])),
  grant: name,
})

const issuer = z.strictObject({
  issuer: z.string().min(1).max(256),
  key: z.string().optional(),
  jwks: z.string().optional(),
  ca: z.string().optional(),
  grants: z.enum(['by-name', 'inline']).default('by-name'),
  audience: z.record(z.string().min(1).max(256), name).optional(),
  claims: z
    .strictObject({
      parts: z.record(z.string().min(1).max(256), z.string().min(1).max(512)).default({}),
      agent: z.string().min(1).max(512).default('sub'),
      run: z.string().min(1).max(512),
    })
    .optional(),
  bind: z.array(binding).min(1).max(1_000).optional(),
})

/** The longest that a timer takes is a little more: 2^31 - 1 ms. */
const DRAIN_MS_MAX = 24 * 86_400_000

const onHop = z.enum(['reject', 'end_session', 'quarantine'])

/** Whoever has it can end every run: at least the 128 bits that 22 characters of base64url hold; `init` writes 256. */
const adminToken = z
  .string()
  .regex(/^[\x21-\x7e]*$/, 'write printable ASCII without blanks')
  .refine(
    (text) => text === '' || text.length >= 22,
    'write at least 22 random characters, as `bulkhead init` does',
  )

export const writtenAdmin = z.strictObject({
  listen: address.optional(),
  socket: z.string().min(1).optional(),
  token: adminToken.optional(),
})

export const configuration = z.strictObject({
  systems: z
    .record(name, system)
    .refine((systems) => Object.keys(systems).length > 0, 'name at least one system'),
  grants: z.record(name, grant).default({}),
  issuers: z.array(issuer).min(1, 'name at least one issuer'),
  on_hop: z.union([onHop, z.partialRecord(z.enum(HOP_KINDS), onHop)]).default('reject'),
  tokens: z.strictObject({ clock_skew: duration.default(5_000) }).default({ clock_skew: 5_000 }),
  audit: writtenAudit.prefault({}),
  admin: writtenAdmin.default({}),
  state: z.strictObject({ file: z.string().min(1).optional() }).default({}),
  drain: duration.refine((ms) => ms <= DRAIN_MS_MAX, 'write at most `24d`').default(30_000),
  webhook: writtenWebhook.optional(),
  export: writtenExport.default({}),
})

export type WrittenConfiguration = z.output<typeof configuration>
