/** What options of several commands take, checked. Each function is given the option, so that it can name it. */
import type { Config } from '../config/config.ts'
import type { Grant } from '../grants/grant.ts'
import { duration } from '../grants/limits.ts'
import { CommandError } from './exit.ts'

/** Milliseconds, from 1. @throws CommandError */
export function durationOption(option: string, text: string): number {
  const parsed = duration.safeParse(text)
  if (!parsed.success) throw new CommandError(`${option}: ${parsed.error.issues[0]?.message}`)
  return parsed.data
}

/** From 1 to 999,999,999. @throws CommandError */
export function countOption(option: string, text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new CommandError(`${option} is a number from 1`)
  return Number(text)
}

/** One of a closed list. @throws CommandError */
export function wordOption<Word extends string>(option: string, text: string, words: readonly Word[]): Word {
  const word = words.find((known) => known === text)
  if (word === undefined) throw new CommandError(`${option} is one of ${words.join(', ')}, not \`${text}\``)
  return word
}

/** Milliseconds since the epoch of a date (`2026-11-23`, `2026-11-23T16:35:00Z`) or a time ago (`15m`). @throws CommandError */
export function momentOption(option: string, text: string): number {
  const ago = duration.safeParse(text)
  if (ago.success) return Date.now() - ago.data
  const date = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(date)) {
    throw new CommandError(`${option} is a date (\`2026-11-23T16:35:00Z\`) or a time ago (\`15m\`, \`2h\`)`)
  }
  return date
}

/** A grant of the configuration. @throws CommandError */
export function grantNamed(name: string, { grants }: Pick<Config, 'grants'>): Grant {
  const grant = grants.get(name)
  if (grant === undefined) {
    const names = grants.size === 0 ? 'none' : [...grants.keys()].join(', ')
    throw new CommandError(`there is no grant \`${name}\`; the configuration has ${names}`)
  }
  return grant
}
