import type { Analysis } from './analysis.ts'
import type { AgentLogin, AgentLoginOptions } from './login.ts'
import type { Naming } from './naming.ts'

export const PROTOCOL_NAMES = ['postgres', 'mysql', 'redis'] as const
export type ProtocolName = (typeof PROTOCOL_NAMES)[number]

/**
 * Reads statements of one system: the grammar of its version over a snapshot of its catalog. Immutable but for
 * its memo; a changed catalog makes a new one.
 */
export interface Analyser {
  readonly naming: Naming
  /** Never throws; what it cannot follow is an outcome. */
  analyse(text: string): Analysis
  /**
   * The statement's shape for a record that must hold no data: every literal is a `?`, comments are gone, names stay.
   * A text that the dialect's own lexer cannot read whole gives a fixed word that tells nothing of it. Never throws.
   */
  redact(text: string): string
}

/** One wire protocol; the only door into its folder. */
export interface Protocol<Knowledge extends Analyser> {
  readonly name: ProtocolName
  readonly portDefault: number
  agentLogin(options: AgentLoginOptions<Knowledge>): AgentLogin
}
