/** How urgent a record is; each exporter has its own numbers for it. */
import type { AuditRecord } from '../audit/record.ts'

export type Severity = 'info' | 'warning' | 'error' | 'alert'

export function severityOf({ event, verdict }: AuditRecord): Severity {
  switch (event) {
    case 'hop':
    case 'quarantine':
      return 'alert'
    case 'protocol.error':
    case 'backend.error':
    case 'config.refused':
    case 'audit.recovered':
    case 'audit.repaired':
      return 'error'
    case 'auth.failure':
    case 'revoked':
      return 'warning'
    case 'statement':
      return verdict === 'allow' ? 'info' : 'warning'
    default:
      return 'info'
  }
}
