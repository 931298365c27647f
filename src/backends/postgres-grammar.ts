/**
 * PostgreSQL's own grammar, as WebAssembly: one build of libpg_query per server major.
 *
 * The package's wrapper is not used: it takes strings (a NUL cuts the statement short), and it goes on using an
 * instance after an exception that was no SQL error. Such an exception (a stack overflow in deeply nested SQL)
 * unwinds the WebAssembly frames without giving back their shadow stack, so that a few dozen of them corrupt
 * the parser's memory for good: https://github.com/pganalyze/libpg_query/issues/366
 */
import { isUtf8 } from 'node:buffer'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Grammar, Node, Parsed } from '../../protocols/postgres/analysis/grammar.ts'

/** The server majors whose grammar is built in. */
export const GRAMMAR_MAJORS = [15, 16, 17, 18] as const

/** Instances kept ready: one in use, and spares for texts that overflow it within one turn of the event loop. */
const INSTANCES_READY = 3

/** A WebAssembly memory never shrinks; an instance that has grown beyond this is replaced. */
const INSTANCE_BYTES_MAX = 256 * 1024 * 1024

/** Longer texts are refused. The server's own limit is 1 GB; a parse tree takes some hundred times its text. */
const TEXT_BYTES_MAX = 1024 * 1024

/** The part of the standard `WebAssembly` object used here; TypeScript has it only in its browser library. */
declare const WebAssembly: {
  compile(bytes: Uint8Array): Promise<CompiledModule>
  readonly Instance: new (module: CompiledModule, imports: object) => object
}
type CompiledModule = { readonly compiled: unique symbol }

/** What the emscripten glue of libpg-query offers: its exports and a view of its memory. */
type Parser = {
  readonly HEAPU8: Uint8Array
  _malloc(size: number): number
  _free(pointer: number): void
  /** Gives a pointer to `{ char *parse_tree; char *stderr_buffer; PgQueryError *error }`. */
  _wasm_parse_query_raw(text: number): number
  _wasm_free_parse_result(result: number): void
}

type ParserFactory = (options: {
  instantiateWasm(imports: object, receive: (instance: object) => void): Record<string, never>
  print(): void
  printErr(): void
}) => Promise<Parser>

/** Loads the grammar of a server major, compiled once. */
export async function loadGrammar(major: number): Promise<Grammar> {
  if (!GRAMMAR_MAJORS.some((known) => known === major)) {
    throw new RangeError(`no grammar of PostgreSQL ${major}: known are ${GRAMMAR_MAJORS.join(', ')}`)
  }
  const require = createRequire(import.meta.url)
  const factory = require(`libpg-query-${major}/wasm/libpg-query.js`) as ParserFactory
  const module = await WebAssembly.compile(
    await readFile(require.resolve(`libpg-query-${major}/wasm/libpg-query.wasm`)),
  )
  const grammar = new WasmGrammar(major, () => instantiate(factory, module))
  await grammar.fill()
  return grammar
}

function instantiate(factory: ParserFactory, module: CompiledModule): Promise<Parser> {
  return factory({
    // Synchronous, so that a spare is ready before the next event: the glue's own way reads a file.
    instantiateWasm(imports, receive) {
      receive(new WebAssembly.Instance(module, imports))
      return {}
    },
    print() {},
    printErr() {},
  })
}

class WasmGrammar implements Grammar {
  readonly major: number
  readonly #spawn: () => Promise<Parser>
  readonly #ready: Parser[] = []

  constructor(major: number, spawn: () => Promise<Parser>) {
    this.major = major
    this.#spawn = spawn
  }

  async fill(): Promise<void> {
    while (this.#ready.length < INSTANCES_READY) this.#ready.push(await this.#spawn())
  }

  parse(text: Buffer): Parsed {
    if (text.length > TEXT_BYTES_MAX) {
      return {
        kind: 'unparsable',
        message: `the statement is longer than ${TEXT_BYTES_MAX} bytes`,
      }
    }
    // The grammar reads a C string: what follows a NUL would not be seen.
    if (text.includes(0)) return { kind: 'unparsable', message: 'the statement holds a NUL byte' }
    if (!isUtf8(text))
      return {
        kind: 'unparsable',
        message: 'the statement is not valid UTF-8',
      }
    // Some of the builds give no result for an empty text.
    if (text.length === 0) return { kind: 'tree', statements: [] }
    const parser = this.#ready[0]
    if (parser === undefined) {
      return {
        kind: 'unparsable',
        message: 'no parser is ready after statements that nest too deeply',
      }
    }
    try {
      const parsed = parseWith(parser, text)
      if (parser.HEAPU8.length > INSTANCE_BYTES_MAX) this.#replace()
      return parsed
    } catch {
      // Whatever it was, it was not a syntax error: this instance is not trusted again.
      this.#replace()
      return {
        kind: 'unparsable',
        message: 'the statement nests too deeply to be read',
      }
    }
  }

  #replace(): void {
    this.#ready.shift()
    // An instance that cannot be made leaves its place empty; statements are then refused, never relayed.
    this.#spawn().then(
      (parser) => this.#ready.push(parser),
      () => {},
    )
  }
}

function parseWith(parser: Parser, text: Buffer): Parsed {
  const textPointer = parser._malloc(text.length + 1)
  if (textPointer === 0) throw new RangeError('no memory')
  parser.HEAPU8.set(text, textPointer)
  parser.HEAPU8[textPointer + text.length] = 0
  const result = parser._wasm_parse_query_raw(textPointer)
  parser._free(textPointer)
  if (result === 0) throw new RangeError('no memory')
  // The memory may have grown, which detaches older views of it.
  const memory = Buffer.from(parser.HEAPU8.buffer, 0, parser.HEAPU8.length)
  const parsed = readResult(memory, result)
  parser._wasm_free_parse_result(result)
  return parsed
}

function readResult(memory: Buffer, result: number): Parsed {
  const error = memory.readUInt32LE(result + 8)
  if (error !== 0) {
    // { char *message; char *funcname; char *filename; int lineno; int cursorpos; char *context }
    const cursor = memory.readInt32LE(error + 16)
    return {
      kind: 'syntax_error',
      message: stringAt(memory, memory.readUInt32LE(error)),
      position: cursor > 0 ? cursor : undefined,
    }
  }
  const tree = JSON.parse(stringAt(memory, memory.readUInt32LE(result))) as {
    readonly stmts?: readonly Node[]
  }
  return { kind: 'tree', statements: tree.stmts ?? [] }
}

function stringAt(memory: Buffer, pointer: number): string {
  if (pointer === 0) throw new RangeError('no result')
  return memory.toString('utf8', pointer, memory.indexOf(0, pointer))
}
