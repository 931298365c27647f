/** A node of the raw parse tree in libpg_query's JSON: https://github.com/pganalyze/libpg_query */
export type Node = { readonly [field: string]: unknown }

/** The outcome of one parse. Positions count characters from 1, as in the server's own errors. */
export type Parsed =
  | { readonly kind: 'tree'; readonly statements: readonly Node[] }
  | { readonly kind: 'syntax_error'; readonly message: string; readonly position: number | undefined }
  /** The text is beyond the parser (nesting, memory), or no parser is ready. */
  | { readonly kind: 'unparsable'; readonly message: string }

/** The grammar of one server major, as bytes in and a tree out. Owned by whoever may load WebAssembly. */
export interface Grammar {
  /** 15, 16, 17 or 18. */
  readonly major: number
  /** @param text UTF-8 without NUL. Never throws. */
  parse(text: Buffer): Parsed
}
