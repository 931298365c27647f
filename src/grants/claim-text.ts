/**
 * Texts with wildcards, as the mapping of claims has them. Who asks an issuer for a token may choose what is matched here, and must
 * not choose how long that takes: a regular expression with four wildcards can be at a value of 256 characters for seconds.
 */

/** A literal, or a wildcard: how many characters it stands for at least, and whether `/` may be among them. */
export type Piece = string | { readonly min: 0 | 1; readonly slashes: boolean }

/**
 * What each wildcard stands for: as little as it can, the first ones first. `undefined` where the text does not match whole.
 * Takes as many steps as the text has characters, for each piece.
 */
export function matchText(pieces: readonly Piece[], text: string): readonly string[] | undefined {
  const rests = restsOf(pieces, text)
  if (rests[0]?.[0] !== 1) return undefined
  const parts: string[] = []
  let at = 0
  for (const [index, piece] of pieces.entries()) {
    if (typeof piece === 'string') {
      at += piece.length
      continue
    }
    // The rest matches from somewhere behind a part without a forbidden slash, and so from the first place where it does.
    const end = rests[index + 1]?.indexOf(1, at + piece.min) ?? at
    parts.push(text.slice(at, end))
    at = end
  }
  return parts
}

/** For each piece, and the end behind the last: 1 at every offset from which it and all behind it match the rest of the text. */
function restsOf(pieces: readonly Piece[], text: string): readonly Uint8Array[] {
  let rest = new Uint8Array(text.length + 1)
  rest[text.length] = 1
  const rests = [rest]
  for (const piece of [...pieces].reverse()) {
    rest = typeof piece === 'string' ? behindLiteral(piece, text, rest) : behindWildcard(piece, text, rest)
    rests.unshift(rest)
  }
  return rests
}

function behindLiteral(literal: string, text: string, rest: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(text.length + 1).map((_, at) =>
    text.startsWith(literal, at) ? (rest[at + literal.length] ?? 0) : 0,
  )
}

function behindWildcard(
  { min, slashes }: Exclude<Piece, string>,
  text: string,
  rest: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const found = new Uint8Array(text.length + 1)
  let further = 0
  for (let at = text.length; at >= 0; at -= 1) {
    // Whether it matches when the wildcard takes this character and perhaps more of them.
    const taken = at < text.length && (slashes || text[at] !== '/') ? further : 0
    const here = rest[at] ?? 0
    found[at] = min === 0 ? here | taken : taken
    further = here | taken
  }
  return found
}
