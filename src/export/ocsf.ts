/**
 * An audit record as an OCSF 1.3 event (https://schema.ocsf.io/1.3.0). docs/audit-fields.md is the table for readers.
 *
 *   statement, result, cancel         6005 Datastore Activity
 *   session.*, auth.failure           3002 Authentication
 *   hop                               2004 Detection Finding
 *   quarantine, revoked, released     3001 Account Change
 *   everything about the proxy        6002 Application Lifecycle
 */
import type { AuditRecord } from '../audit/record.ts'
import { version } from '../version.ts'
import { endpoint } from './semantic-conventions.ts'
import { type Severity, severityOf } from './severity.ts'

export type OcsfEvent = Readonly<Record<string, unknown>>

/** Informational, Medium, High, Critical. */
const SEVERITIES: Readonly<Record<Severity, number>> = { info: 1, warning: 3, error: 4, alert: 5 }

const OTHER = 99

/** `activity_id` of Datastore Activity for the actions of statements; those not here are Other. */
const DATASTORE_ACTIVITIES: Readonly<Record<string, number>> = {
  select: 4,
  read: 1,
  show: 1,
  cursor: 1,
  update: 2,
  merge: 2,
  insert: 5,
  write: 5,
  copy: 5,
  ddl: 6,
  delete: 7,
  truncate: 7,
}

/** Class and activity of every other event. */
const ACTIVITIES: Readonly<Record<string, readonly [classUid: number, activityId: number]>> = {
  'session.start': [3002, 1],
  'session.end': [3002, 2],
  'auth.failure': [3002, 1],
  hop: [2004, 1],
  quarantine: [3001, 9],
  revoked: [3001, 5],
  released: [3001, 2],
  'proxy.start': [6002, 3],
  'proxy.stop': [6002, 4],
  'config.reloaded': [6002, 8],
}

/** Fields that have a place of their own in the event; all others stand in `unmapped` under their own names. */
const MAPPED = new Set([
  ...['time', 'seq', 'event', 'hash', 'system', 'protocol', 'run', 'agent', 'grant', 'grant_sha256', 'jti'],
  ...['session', 'client', 'statement', 'verdict', 'reason', 'why', 'bytes', 'duration_us', 'error'],
])

export function ocsfEvent(record: AuditRecord): OcsfEvent {
  const [classUid, activityId] = classOf(record)
  const { run, agent, session, jti, system, protocol, grant, verdict, client, duration_us: us } = record
  const failed = record.error !== undefined || verdict === 'deny' || record.event === 'auth.failure'
  const user =
    run === undefined ? undefined : { name: run, type_id: OTHER, type: 'agent run', credential_uid: jti }
  return {
    metadata: {
      version: '1.3.0',
      product: { name: 'Bulkhead', vendor_name: 'Bulkhead', version: version() },
      profiles: ['security_control'],
      uid: record.hash,
      sequence: record.seq,
      event_code: record.event,
      original_time: record.time,
    },
    time: Date.parse(record.time),
    category_uid: Math.floor(classUid / 1_000),
    class_uid: classUid,
    activity_id: activityId,
    ...(activityId === OTHER && {
      activity_name: record.event === 'statement' ? record.action : record.event,
    }),
    type_uid: classUid * 100 + activityId,
    severity_id: SEVERITIES[severityOf(record)],
    ...(verdict !== undefined && dispositionOf(verdict)),
    ...(record.event === 'hop' && { ...dispositionOf('deny'), is_alert: true }),
    status_id: failed ? 2 : 1,
    ...(failed && { status_code: record.error ?? record.reason, status_detail: record.why }),
    ...(us !== undefined && { duration: Math.round(us / 1_000) }),
    actor: {
      user,
      app_name: agent,
      session: session === undefined ? undefined : { uid: session },
      ...(grant !== undefined && {
        authorizations: [{ decision: verdict, policy: { name: grant, uid: record.grant_sha256 } }],
      }),
    },
    ...(client !== undefined && { src_endpoint: sourceOf(client) }),
    ...(system !== undefined && {
      database: { name: system, type_id: protocol === 'redis' ? 6 : 1, desc: protocol },
    }),
    ...partOfClass(classUid, record, user),
    unmapped: Object.fromEntries(Object.entries(record).filter(([field]) => !MAPPED.has(field))),
  }
}

function classOf({ event, action }: AuditRecord): readonly [number, number] {
  if (event === 'statement') return [6005, DATASTORE_ACTIVITIES[action ?? ''] ?? OTHER]
  const known = ACTIVITIES[event]
  if (known !== undefined) return known
  if (event.startsWith('session.')) return [3002, OTHER]
  return event === 'result' || event === 'cancel' || event.endsWith('.error') ? [6005, OTHER] : [6002, OTHER]
}

/** What each class asks for besides what all events have. */
function partOfClass(
  classUid: number,
  record: AuditRecord,
  user: unknown,
): Readonly<Record<string, unknown>> {
  switch (classUid) {
    case 2004:
      return {
        finding_info: {
          uid: record.hash,
          title: `A run tried to leave its system: ${record.kind}`,
          types: [record.kind],
        },
      }
    case 3001:
    case 3002:
      return { user: user ?? { name: record['user'], type_id: 0 } }
    case 6002:
      return { app: { name: 'Bulkhead', version: version() } }
    default:
      return record.statement === undefined && record.bytes === undefined
        ? {}
        : { query_info: { query_string: record.statement, bytes: record.bytes } }
  }
}

/** Of the profile Security Control. */
function dispositionOf(verdict: string): { readonly action_id: number; readonly disposition_id: number } {
  if (verdict === 'deny') return { action_id: 2, disposition_id: 2 }
  // A statement of a grant that only observes was let through, and logged for somebody to look at.
  return { action_id: 1, disposition_id: verdict === 'allow' ? 1 : 17 }
}

function sourceOf(client: string): { readonly ip: string; readonly port: number | undefined } {
  const { address, port } = endpoint(client)
  return { ip: address, port }
}
