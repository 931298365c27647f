/** The records of an audit log, over all its files in order. */
import { type FileHandle, open } from 'node:fs/promises'
import { type Block, readBlocks } from './blocks.ts'
import { rotatedFiles } from './files.ts'
import { Matching, type RecordFilter } from './filter.ts'
import { type AuditRecord, parseRecord } from './record.ts'

/**
 * Every record that matches, the oldest first, rotated files included, up to the moment of the call. Lines that are no
 * records are left out: whether the log is whole is for `bulkhead audit verify` to say. A log without any file has no
 * records. Rejects with the file system's error.
 * @param file the log as the configuration names it
 */
export async function* readRecords(file: string, filter: RecordFilter = {}): AsyncGenerator<AuditRecord> {
  const matching = new Matching(filter)
  for await (const { bytes } of logBlocks(file)) {
    const records: AuditRecord[] = []
    matching.candidates(bytes, (start, end) => {
      const record = parseRecord(bytes.toString('utf8', start, end))
      if (record !== undefined && matching.matches(record)) records.push(record)
    })
    yield* records
  }
}

/** The lines of all files of a log in order; see {@link readRecords}. */
async function* logBlocks(file: string): AsyncGenerator<Block> {
  // Opened first: when it is rotated meanwhile it is still read, and last, whatever its name is by then.
  const current = await opened(file)
  try {
    const inode = current && (await current.stat()).ino
    for (const part of rotatedFiles(file)) {
      const handle = await opened(part)
      if (handle === undefined) continue
      try {
        if ((await handle.stat()).ino !== inode) yield* readBlocks(handle)
      } finally {
        await handle.close()
      }
    }
    if (current !== undefined) yield* readBlocks(current)
  } finally {
    await current?.close()
  }
}

/** `undefined` where there is no such file. */
async function opened(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
