/**
 * Is the log what was written? Follows the chain over all files and checks every signature. What it finds: a record that was
 * changed, removed, added, moved or replaced, a file that is missing, and where. What it cannot find alone: that records behind
 * the last one were cut off, because nothing follows them; a checkpoint or a head kept elsewhere tells.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { basename } from 'node:path'
import { CHAIN_START } from './audit-file.ts'
import { readBlocks } from './blocks.ts'
import type { CheckpointVerifier } from './checkpoint.ts'
import { parseRecord } from './record.ts'

/** A line ends in `,"prev":"…","hash":"…"}`; the hash is of everything before its own member. */
const END = /^,"prev":"([0-9a-f]{64})","hash":"([0-9a-f]{64})"\}$/
const HASH_MEMBER_BYTES = ',"hash":""}'.length + 64
const END_BYTES = HASH_MEMBER_BYTES + ',"prev":""'.length + 64

/** A line begins with its time, its number and its event. */
const START = /^\{"time":"([0-9TZ:.-]{20,30})","seq":(\d{1,16}),"event":"([a-z_.]+)"/
const START_BYTES = 128

const NEWLINE = 0x0a

/** More are counted, but not kept. */
const FINDINGS_MAX = 1_000

/** Something that is not as it was written. */
export type Finding = {
  readonly file: string
  /** From 1. */
  readonly line: number
  /** The number that the record claims; `undefined` where it claims none. */
  readonly seq: number | undefined
  readonly problem: string
}

export type VerifyOptions = {
  /** `undefined`: signatures are not checked. */
  readonly verifier?: CheckpointVerifier | undefined
  /** A head that was kept elsewhere: it must be there. */
  readonly expectedHead?: { readonly seq: number | undefined; readonly hash: string } | undefined
  /** Bytes read so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined
}

export type VerifyReport = {
  readonly files: readonly string[]
  readonly records: number
  readonly bytes: number
  readonly first: { readonly seq: number; readonly time: string } | undefined
  readonly head: { readonly seq: number; readonly hash: string; readonly time: string } | undefined
  readonly checkpoints: number
  /** The last record that a good signature covers. */
  readonly signedSeq: number | undefined
  /** Bytes behind the last line end of the last file: a record being written, or torn by a crash. */
  readonly unfinishedBytes: number
  readonly findings: readonly Finding[]
  readonly findingCount: number
}

/** Rejects with the file system's error. @param files in any order: their first records order them */
export async function verifyFiles(
  files: readonly string[],
  options: VerifyOptions = {},
): Promise<VerifyReport> {
  const verification = new Verification(options)
  for (const file of await inOrder(files)) await verification.file(file)
  return verification.report()
}

async function inOrder(files: readonly string[]): Promise<readonly string[]> {
  const starts = await Promise.all(
    files.map(async (file, index) => ({ file, index, seq: await firstSeq(file) })),
  )
  // An empty file is the newest: rotation has just made it.
  return starts
    .sort(
      (a, b) => (a.seq ?? Number.MAX_SAFE_INTEGER) - (b.seq ?? Number.MAX_SAFE_INTEGER) || a.index - b.index,
    )
    .map(({ file }) => file)
}

async function firstSeq(file: string): Promise<number | undefined> {
  const handle = await open(file, 'r')
  try {
    const start = Buffer.alloc(START_BYTES)
    const { bytesRead } = await handle.read(start, 0, START_BYTES, 0)
    const seq = START.exec(start.toString('latin1', 0, bytesRead))?.[2]
    return seq === undefined ? undefined : Number(seq)
  } finally {
    await handle.close()
  }
}

type Link = { readonly seq: number; readonly hash: string; readonly time: string }

class Verification {
  readonly #options: VerifyOptions
  readonly #files: string[] = []
  readonly #findings: Finding[] = []
  #findingCount = 0
  #bytes = 0
  #records = 0
  #first: Link | undefined
  #last: Link | undefined
  #checkpoints = 0
  #signedSeq: number | undefined
  #unfinished: { readonly file: string; readonly line: number; readonly bytes: number } | undefined
  #headFound = false
  /** Where we are. */
  #file = ''
  #line = 0

  constructor(options: VerifyOptions) {
    this.#options = options
  }

  async file(file: string): Promise<void> {
    const torn = this.#unfinished
    if (torn !== undefined) {
      this.#found(`the file ends in the middle of a record (${torn.bytes} bytes)`, undefined, torn)
      this.#unfinished = undefined
    }
    this.#file = file
    this.#line = 0
    this.#files.push(file)
    const handle = await open(file, 'r')
    try {
      await this.#lines(handle)
    } finally {
      await handle.close()
    }
  }

  async #lines(handle: FileHandle): Promise<void> {
    const onRest = (bytes: number): void => {
      this.#unfinished = { file: this.#file, line: this.#line + 1, bytes }
    }
    for await (const { bytes } of readBlocks(handle, { onRest })) {
      for (let start = 0; start < bytes.length; ) {
        const end = bytes.indexOf(NEWLINE, start)
        this.#line += 1
        this.#record(bytes.subarray(start, end))
        start = end + 1
      }
      this.#bytes += bytes.length
      this.#options.onProgress?.(this.#bytes)
    }
  }

  #record(line: Buffer): void {
    const start = START.exec(line.toString('latin1', 0, START_BYTES))
    const end = END.exec(line.toString('latin1', Math.max(0, line.length - END_BYTES)))
    const [, time = '', digits, event = ''] = start ?? []
    const [, prev = '', hash = ''] = end ?? []
    if (digits === undefined || end === null) {
      this.#found('not a record', undefined)
      return
    }
    const seq = Number(digits)
    this.#records += 1
    const body = line.subarray(0, line.length - HASH_MEMBER_BYTES)
    if (createHash('sha256').update(body).digest('hex') !== hash) {
      this.#found('changed: the record is not the one that its hash was made of', seq)
    }
    this.#follows({ seq, prev, event })
    if (event === 'audit.file' || event === 'audit.checkpoint') this.#claims(line.toString('utf8'), seq, prev)
    const link = { seq, hash, time }
    this.#first ??= link
    this.#last = link
    const expected = this.#options.expectedHead
    if (expected?.hash === hash && (expected.seq === undefined || expected.seq === seq))
      this.#headFound = true
  }

  #follows({
    seq,
    prev,
    event,
  }: {
    readonly seq: number
    readonly prev: string
    readonly event: string
  }): void {
    const last = this.#last
    if (last === undefined) {
      const begins = seq === 1 && prev === CHAIN_START
      // A log whose oldest files were put away begins with the record that names the last of them.
      if (!begins && !(event === 'audit.file' && this.#line === 1)) {
        this.#found(`the log begins in the middle: ${seq - 1} records before it are missing`, seq)
      }
      return
    }
    if (seq === last.seq + 1) {
      if (prev !== last.hash)
        this.#found(`replaced: it does not follow record ${last.seq} as it is here`, seq)
    } else if (seq > last.seq) {
      this.#found(`${seq - last.seq - 1} records are missing between ${last.seq} and ${seq}`, seq)
    } else {
      this.#found(`out of place: it stands after record ${last.seq}`, seq)
    }
  }

  /** What a record says of the records before it. */
  #claims(line: string, seq: number, prev: string): void {
    const record = parseRecord(line)
    if (record === undefined) {
      this.#found('not a record', seq)
    } else if (record.event === 'audit.file') {
      if (record['previous_seq'] !== seq - 1 || record['previous_hash'] !== prev) {
        this.#found('it names another record than the one it follows', seq)
      }
    } else {
      this.#checkpoint(String(record['jws']), seq, prev)
    }
  }

  #checkpoint(jws: string, seq: number, prev: string): void {
    this.#checkpoints += 1
    const { verifier } = this.#options
    if (verifier === undefined) return
    const head = verifier.verify(jws)
    if (head === 'malformed') this.#found('the checkpoint is no signature', seq)
    else if (head === 'unknown_key') this.#found('the checkpoint is signed with a key that is not given', seq)
    else if (head === 'bad_signature') this.#found('the signature of the checkpoint is not good', seq)
    else if (head.seq !== seq - 1 || head.hash !== prev) {
      this.#found(`the checkpoint signs another record ${head.seq} than the one here`, seq)
    } else this.#signedSeq = head.seq
  }

  #found(
    problem: string,
    seq: number | undefined,
    at?: { readonly file: string; readonly line: number },
  ): void {
    this.#findingCount += 1
    if (this.#findings.length < FINDINGS_MAX) {
      this.#findings.push({ file: at?.file ?? this.#file, line: at?.line ?? this.#line, seq, problem })
    }
  }

  report(): VerifyReport {
    const { verifier, expectedHead } = this.#options
    if (verifier !== undefined && this.#records > 0 && this.#signedSeq === undefined) {
      this.#found(
        'no checkpoint is signed with a given key: anyone could have made this chain',
        this.#last?.seq,
      )
    }
    if (expectedHead !== undefined && !this.#headFound) {
      const which = expectedHead.seq === undefined ? '' : ` ${expectedHead.seq}`
      this.#found(
        `record${which} with hash ${expectedHead.hash} is not here: the end was cut off, or the log is another one`,
        this.#last?.seq,
      )
    }
    return {
      files: this.#files.map((file) => basename(file)),
      records: this.#records,
      bytes: this.#bytes,
      first: this.#first,
      head: this.#last,
      checkpoints: this.#checkpoints,
      signedSeq: this.#signedSeq,
      unfinishedBytes: this.#unfinished?.bytes ?? 0,
      findings: this.#findings,
      findingCount: this.#findingCount,
    }
  }
}
