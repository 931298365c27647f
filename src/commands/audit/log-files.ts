/** Which files an audit command reads, and which keys it trusts. */
import { readFileSync, type Stats, statSync } from 'node:fs'
import { CheckpointKeyError, CheckpointVerifier } from '../../audit/checkpoint.ts'
import { auditFiles } from '../../audit/files.ts'
import type { Config } from '../../config/config.ts'
import { type LoadedConfig, loadConfig } from '../../config/load.ts'
import { CommandError } from '../exit.ts'

export type LogOptions = { readonly config: string }

/** Without secrets: whoever reads a log need not be able to run the proxy. @throws ConfigError */
export function configOf(options: LogOptions): Config {
  return loaded(options).config
}

function loaded({ config }: LogOptions): LoadedConfig {
  return loadConfig(config, { environment: process.env, secrets: 'optional' })
}

/** The files that were named, or all of the configured log. @throws ConfigError, CommandError */
export function filesOf(named: readonly string[], options: LogOptions): readonly string[] {
  if (named.length > 0) {
    for (const file of named) sizeOf(file)
    return named
  }
  const { auditFile } = configOf(options)
  try {
    const files = auditFiles(auditFile)
    if (files.length > 0) return files
  } catch (error) {
    throw new CommandError(`cannot read the log ${auditFile}: ${(error as Error).message}`)
  }
  throw new CommandError(`there is no log ${auditFile} yet`)
}

/** Bytes of a file. @throws CommandError */
export function sizeOf(file: string): number {
  let stats: Stats
  try {
    stats = statSync(file)
  } catch (error) {
    throw new CommandError(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code ?? 'error'}`)
  }
  if (stats.isDirectory()) throw new CommandError(`${file} is a folder: name the files of the log in it`)
  return stats.size
}

/**
 * The keys that were named; or else, where the configuration has checkpoints, those of its issuers that can sign them.
 * `undefined`: there are none, and nothing says that the log is signed.
 * @throws ConfigError, and CommandError for a key that cannot be used
 */
export function verifierOf(
  keys: readonly string[],
  options: LogOptions | undefined,
): CheckpointVerifier | undefined {
  if (keys.length > 0) return new CheckpointVerifier(keys.map(readKey))
  if (options === undefined) return undefined
  const { config, written } = loaded(options)
  if (written.audit.checkpoint === undefined) return undefined
  const texts = config.issuers.flatMap(({ keys: key }) =>
    key.kind === 'jwk' && isSigningKey(key.text) ? [key.text] : [],
  )
  return texts.length === 0 ? undefined : new CheckpointVerifier(texts)
}

function readKey(file: string): string {
  try {
    const text = readFileSync(file, 'utf8')
    new CheckpointVerifier([text])
    return text
  } catch (error) {
    throw new CommandError(`--key ${file}: ${(error as Error).message}`)
  }
}

function isSigningKey(text: string): boolean {
  try {
    new CheckpointVerifier([text])
    return true
  } catch (error) {
    if (error instanceof CheckpointKeyError) return false
    throw error
  }
}
