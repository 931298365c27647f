import { TOKEN_FAULTS } from './token.ts'

/** Why a login is refused: what is wrong with its token, or something else. */
export const LOGIN_FAULTS = [
  ...TOKEN_FAULTS,
  'wrong_database',
  'protocol_error',
  'backend_unavailable',
  'too_many_connections',
  'wrong_secret',
  'decoy',
] as const
export type LoginFault = (typeof LOGIN_FAULTS)[number]
