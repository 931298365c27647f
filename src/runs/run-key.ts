/**
 * What a run is kept under: its issuer and the run that the issuer named. Two issuers may use the same run id without
 * ending each other's runs, and a narrowed token counts as the run it came from.
 */
import { type RunToken, rootRun } from '../grants/token.ts'

declare const brand: unique symbol
export type RunKey = string & { readonly [brand]: 'RunKey' }

/** The part of a token that says whose it is. */
export type Holder = Pick<RunToken, 'issuer' | 'run' | 'ancestors'>

export function runKeyOf(token: Holder): RunKey {
  return runKey(token.issuer, rootRun(token))
}

/** A run id has no space, so that the two parts cannot be cut otherwise. */
export function runKey(issuer: string, run: string): RunKey {
  return `${run} ${issuer}` as RunKey
}
