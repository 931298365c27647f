/**
 * An audit record in OpenTelemetry's words (semantic conventions 1.33, `db.*`); what they have no word for is `bulkhead.*`.
 * docs/audit-fields.md is the table for readers.
 */
import type { AuditRecord } from '../audit/record.ts'

export type Attribute = string | number | boolean | string[]

/** `db.system.name` of each protocol. MariaDB and Valkey speak their ancestor's protocol, which is all that a record knows. */
const DATABASES: Readonly<Record<string, string>> = { postgres: 'postgresql', mysql: 'mysql', redis: 'redis' }

/** Fields that are an attribute of another name, with nothing to compute. */
const NAMES: Readonly<Record<string, string>> = {
  action: 'db.operation.name',
  statement: 'db.query.text',
  rows: 'db.response.returned_rows',
  agent: 'gen_ai.agent.name',
  session: 'session.id',
  user: 'user.name',
}

/** Fields that are no attribute: the record's own time and name, and those that become several attributes or another. */
const ELSEWHERE = new Set(['time', 'event', 'protocol', 'client', 'accesses', 'missing', 'error'])

export function attributesOf(record: AuditRecord): Record<string, Attribute> {
  const attributes: Record<string, Attribute> = {}
  const { protocol, client, accesses, missing, error, reason, event } = record
  if (protocol !== undefined) attributes['db.system.name'] = DATABASES[protocol] ?? protocol
  if (client !== undefined) {
    const { address, port } = endpoint(client)
    attributes['client.address'] = address
    if (port !== undefined) attributes['client.port'] = port
  }
  if (accesses !== undefined) {
    attributes['bulkhead.accesses'] = accesses.map(({ action, resource }) => `${action} ${resource}`)
    const [only] = accesses
    // The convention names a collection only where there is no second.
    if (only !== undefined && accesses.length === 1) attributes['db.collection.name'] = only.resource
  }
  if (missing !== undefined)
    attributes['bulkhead.missing'] = missing.map(({ action, resource }) => `${action} ${resource}`)
  if (error !== undefined) attributes['db.response.status_code'] = error
  const failed = error ?? (event === 'statement' || event === 'auth.failure' ? reason : undefined)
  if (failed !== undefined) attributes['error.type'] = failed
  for (const [field, value] of Object.entries(record)) {
    if (ELSEWHERE.has(field) || value === undefined || value === null) continue
    attributes[NAMES[field] ?? `bulkhead.${field}`] = plain(value)
  }
  return attributes
}

/** `address:port`, the address perhaps an IPv6 one. */
export function endpoint(client: string): { readonly address: string; readonly port: number | undefined } {
  const at = client.lastIndexOf(':')
  const port = Number(client.slice(at + 1))
  return at === -1 || !Number.isInteger(port)
    ? { address: client, port: undefined }
    : { address: client.slice(0, at), port }
}

function plain(value: unknown): Attribute {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
  return JSON.stringify(value)
}
