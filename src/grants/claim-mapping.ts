/**
 * What the tokens of an issuer that knows nothing of Bulkhead mean here: workload tokens of a CI service, a cluster, a mesh.
 * The configuration says which claims name the agent and the run, and under which conditions a token is bound to which
 * grant. A token that fits no condition is for nobody.
 */
import { matchText, type Piece } from './claim-text.ts'

/** Where a claim stands: its name, or a JSON Pointer (RFC 6901) for one that is nested. */
export type ClaimPath = { readonly text: string; readonly steps: readonly string[] }

/** `gh-{run_id}.{run_attempt}`: texts and claims in turn. */
export type ClaimTemplate = readonly (string | ClaimPath)[]

/** A claim whose text has named parts: `spiffe://example.org/agent/{name}/{instance}`. */
export type ClaimParts = {
  readonly path: ClaimPath
  /** Of each wildcard among the pieces, in their order. */
  readonly names: readonly string[]
  readonly pieces: readonly Piece[]
}

/** One condition: the claim is one of these, each exact or with `*` (not across `/`) and `**`. */
export type ClaimCondition = {
  readonly path: ClaimPath
  readonly values: readonly ((text: string) => boolean)[]
}

/** All conditions hold: the token has this grant on this system. */
export type ClaimBinding = {
  readonly when: readonly ClaimCondition[]
  readonly grant: string
  readonly system: string
}

export type ClaimMapping = {
  readonly parts: readonly ClaimParts[]
  readonly agent: ClaimTemplate
  readonly run: ClaimTemplate
  readonly bind: readonly ClaimBinding[]
}

/** A mapping as the configuration has it. */
export type WrittenMapping = {
  /** Texts with named parts, by the path of their claim. */
  readonly parts: Readonly<Record<string, string>>
  /** A path, or a text with paths and parts in braces. */
  readonly agent: string
  readonly run: string
  readonly bind: readonly {
    readonly when: Readonly<Record<string, ClaimValue | readonly ClaimValue[]>>
    readonly grant: string
    readonly system: string
  }[]
}

type ClaimValue = string | number | boolean

type MappedClaims = { readonly agent: string; readonly run: string }

/** A value in a run id or an agent's name is no essay. */
const VALUE_CHARACTERS_MAX = 256

/** A text of the configuration that cannot be read; the message is a sentence for the operator. */
export class MappingError extends Error {
  readonly code = 'MAPPING'
}

/** @throws MappingError */
export function compileMapping({ parts, agent, run, bind }: WrittenMapping): ClaimMapping {
  return {
    parts: Object.entries(parts).map(([path, text]) => claimParts(path, text)),
    agent: claimTemplate(agent),
    run: claimTemplate(run),
    bind: bind.map(({ when, ...bound }) => ({
      ...bound,
      when: Object.entries(when).map(([path, values]) => ({
        path: claimPath(path),
        values: [values].flat().map(claimPattern),
      })),
    })),
  }
}

/** @throws MappingError */
export function claimPath(text: string): ClaimPath {
  if (text === '' || text === '/') throw new MappingError('the name of a claim is missing')
  if (!text.startsWith('/')) return { text, steps: [text] }
  if (/~(?![01])/.test(text))
    throw new MappingError('in a JSON Pointer, `~` is written `~0` and `/` in a name `~1`')
  const steps = text.slice(1).split('/')
  return { text, steps: steps.map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~')) }
}

/** A path alone, or a text with paths in braces. @throws MappingError */
export function claimTemplate(text: string): ClaimTemplate {
  if (!/[{}]/.test(text)) return [claimPath(text)]
  const template: (string | ClaimPath)[] = []
  for (const [index, piece] of text.split(/[{}]/).entries()) {
    if (index % 2 === 0) template.push(piece)
    else template.push(claimPath(piece))
  }
  if (text.replace(/[^{}]/g, '') !== '{}'.repeat(Math.floor(template.length / 2))) {
    throw new MappingError('a brace has no partner: write `{claim}`')
  }
  return template
}

/** A name in braces stands for one or more characters other than `/`. @throws MappingError */
export function claimParts(path: string, text: string): ClaimParts {
  const names: string[] = []
  const pieces: Piece[] = []
  for (const [index, piece] of text.split(/[{}]/).entries()) {
    if (index % 2 === 0) {
      // Two parts with nothing between them could be cut in more than one way.
      if (piece === '' && index > 0 && index < text.split(/[{}]/).length - 1) {
        throw new MappingError('two parts stand side by side: write something between them')
      }
      pieces.push(piece)
    } else {
      if (!/^[a-z][a-z0-9_]*$/.test(piece) || names.includes(piece)) {
        throw new MappingError('a part is named once, with small letters, digits and `_`')
      }
      names.push(piece)
      pieces.push({ min: 1, slashes: false })
    }
  }
  if (names.length === 0 || text.replace(/[^{}]/g, '') !== '{}'.repeat(names.length)) {
    throw new MappingError('name the parts in braces: `spiffe://example.org/agent/{name}`')
  }
  return { path: claimPath(path), names, pieces }
}

/** A condition that needs more is not one that people can judge. */
const STARS_MAX = 4

/** `*` is any text without `/`, `**` any text; everything else stands for itself. @throws MappingError */
export function claimPattern(written: string | number | boolean): (text: string) => boolean {
  const wanted = String(written)
  if (!wanted.includes('*')) return (text) => text === wanted
  if ((wanted.match(/\*+/g)?.length ?? 0) > STARS_MAX || wanted.includes('***')) {
    throw new MappingError(`a value has at most ${STARS_MAX} stars, written \`*\` or \`**\``)
  }
  const pieces = wanted
    .split(/(\*{1,2})/)
    .map((piece): Piece => (/^\*+$/.test(piece) ? { min: 0, slashes: piece === '**' } : piece))
  return (text) => matchText(pieces, text) !== undefined
}

type Claims = Readonly<Record<string, unknown>>

/** `undefined` where a claim is missing or of no use. */
export function mappedClaims({ parts, agent, run }: ClaimMapping, claims: Claims): MappedClaims | undefined {
  const named = namedParts(parts, claims)
  if (named === undefined) return undefined
  const [agentText, runText] = [filled(agent, claims, named), filled(run, claims, named)]
  return agentText === undefined || runText === undefined ? undefined : { agent: agentText, run: runText }
}

/** The first binding that holds and is for the system; `elsewhere`: only ones for other systems hold. */
export function bindingOf(
  { bind }: ClaimMapping,
  claims: Claims,
  system: string | undefined,
): ClaimBinding | 'elsewhere' | undefined {
  const holding = bind.filter(({ when }) => when.every((condition) => holds(condition, claims)))
  return (
    holding.find((binding) => binding.system === system) ?? (holding.length > 0 ? 'elsewhere' : undefined)
  )
}

function holds({ path, values }: ClaimCondition, claims: Claims): boolean {
  const value = valueAt(path, claims)
  const texts = (Array.isArray(value) ? value : [value]).flatMap((one) => textOf(one) ?? [])
  return texts.some((text) => values.some((matches) => matches(text)))
}

function namedParts(parts: readonly ClaimParts[], claims: Claims): ReadonlyMap<string, string> | undefined {
  const named = new Map<string, string>()
  for (const { path, names, pieces } of parts) {
    const values = matchText(pieces, textOf(valueAt(path, claims)) ?? '')
    if (values === undefined) return undefined
    for (const [index, name] of names.entries()) named.set(name, values[index] ?? '')
  }
  return named
}

function filled(
  template: ClaimTemplate,
  claims: Claims,
  named: ReadonlyMap<string, string>,
): string | undefined {
  let text = ''
  for (const piece of template) {
    const value =
      typeof piece === 'string' ? piece : (named.get(piece.text) ?? textOf(valueAt(piece, claims)))
    if (value === undefined || (typeof piece !== 'string' && value === '')) return undefined
    text += value
  }
  return text
}

function valueAt({ steps }: ClaimPath, claims: Claims): unknown {
  let value: unknown = claims
  for (const step of steps) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, step)) return undefined
    value = (value as Claims)[step]
  }
  return value
}

/** A number that JSON cannot carry exactly could stand for another one. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value.length <= VALUE_CHARACTERS_MAX ? value : undefined
  if (typeof value === 'boolean' || Number.isSafeInteger(value)) return String(value)
  return undefined
}
