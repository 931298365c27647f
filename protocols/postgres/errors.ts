import type { Access } from '../access.ts'
import { ProtocolError } from '../errors.ts'
import type { LoginRefusal } from '../login.ts'
import type { Denial, EndCause } from '../session.ts'
import { frame, SERVER } from './frames.ts'

/**
 * ErrorResponse: fields, each a type byte and a string, ended by a zero byte.
 *
 *     'E' length  'S' "ERROR\0"  'V' "ERROR\0"  'C' "42501\0"  'M' "permission denied …\0"  …  '\0'
 *
 * https://www.postgresql.org/docs/current/protocol-error-fields.html
 */
export type ErrorFields = {
  readonly severity: 'ERROR' | 'FATAL'
  /** SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html */
  readonly code: string
  readonly message: string
  readonly detail?: string
  readonly hint?: string
  /** In characters of the statement, from 1. */
  readonly position?: number
}

export function errorResponse(fields: ErrorFields): Buffer {
  const { severity, code, message, detail, hint, position } = fields
  let body = `S${severity}\0V${severity}\0C${code}\0M${text(message)}\0`
  if (detail !== undefined) body += `D${text(detail)}\0`
  if (hint !== undefined) body += `H${text(hint)}\0`
  if (position !== undefined) body += `P${position}\0`
  return frame(SERVER.errorResponse, `${body}\0`)
}

/** A NUL would end the field early. */
function text(value: string): string {
  return value.replaceAll('\0', ' ')
}

/** SQLSTATEs of denials that are not `insufficient_privilege`. */
const DENIAL_CODES: Partial<Record<Denial['reason'], string>> = {
  token_expired: '28000', // invalid_authorization_specification
  grant_removed: '28000',
  audit_unavailable: '58030', // io_error
}

/** The SQLSTATE with which a denial reaches the client. */
export function denialCode(denial: Denial): string {
  return denial.nativeError?.code ?? DENIAL_CODES[denial.reason] ?? '42501' // insufficient_privilege
}

/** A refused statement as the server would have refused it: the statement fails, the session goes on. */
export function denialResponse(denial: Denial): Buffer {
  const { nativeError } = denial
  const code = denialCode(denial)
  if (nativeError !== undefined) {
    const { message, position, hint } = nativeError
    return errorResponse({
      severity: 'ERROR',
      code,
      message,
      ...(hint !== undefined && { hint }),
      ...(position !== undefined && { position }),
    })
  }
  const message =
    code === '42501' ? `permission denied${object(denial.missing)}: ${denial.message}` : denial.message
  return errorResponse({
    severity: 'ERROR',
    code,
    message,
    ...(denial.hint !== undefined && { hint: denial.hint }),
  })
}

/** `aclcheck_error` of src/backend/catalog/aclchk.c names the kind of object and its bare name. */
function object(access: Access | undefined): string {
  switch (access?.kind) {
    case 'relation':
      return ` for table ${access.name}`
    case 'routine':
      return ` for ${access.action === 'call' ? 'procedure' : 'function'} ${access.name}`
    case 'sequence':
    case 'type':
    case 'schema':
      return ` for ${access.kind} ${access.name}`
    default:
      return ''
  }
}

const END_CODES: Record<EndCause['kind'], string> = {
  token_expired: '28000', // invalid_authorization_specification
  revoked: '28000',
  hop: '28000',
  limit: '53400', // configuration_limit_exceeded
  backend_lost: '08006', // connection_failure
  shutdown: '57P01', // admin_shutdown
  protocol_error: '08P01', // protocol_violation
  audit_unavailable: '58030', // io_error
}

/** The last words of a session that the proxy ends. */
export function endResponse(cause: EndCause): Buffer {
  return errorResponse({ severity: 'FATAL', code: END_CODES[cause.kind], message: cause.message })
}

const REFUSAL_CODES: Record<LoginRefusal['kind'], string> = {
  authentication: '28P01', // invalid_password
  database: '3D000', // invalid_catalog_name
  backend_unavailable: '57P03', // cannot_connect_now
  too_many_connections: '53300', // too_many_connections
}

/** @param user as the client sent it; the server's own sentence names it */
export function refusalResponse(refusal: LoginRefusal, user: string): Buffer {
  const message = refusal.message ?? `password authentication failed for user "${user}"`
  return errorResponse({ severity: 'FATAL', code: REFUSAL_CODES[refusal.kind], message })
}

/** What of an ErrorResponse of the server is read. Fields that are not there are empty. */
export type ServerError = { readonly severity: string; readonly code: string; readonly message: string }

/** @param body the fields, which may have been cut off at the end */
export function readServerError(body: Buffer): ServerError {
  let severity = ''
  let code = ''
  let message = ''
  let at = 0
  while (at < body.length && body[at] !== 0) {
    const nul = body.indexOf(0, at + 1)
    if (nul === -1) break
    const type = body[at]
    if (type === 0x56) severity = body.toString('latin1', at + 1, nul)
    else if (type === 0x53 && severity === '') severity = body.toString('latin1', at + 1, nul)
    else if (type === 0x43) code = body.toString('latin1', at + 1, nul)
    else if (type === 0x4d) message = body.toString('utf8', at + 1, nul)
    at = nul + 1
  }
  return { severity, code, message }
}

/** The peer named broke the protocol. */
export function broken(side: 'client' | 'server', message: string): ProtocolError {
  return new ProtocolError('postgres', side, message)
}
