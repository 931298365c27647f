/**
 * The files of one audit log. Records are appended to the named file (`audit.jsonl`); when it is rotated it keeps what it
 * holds under a name with the number of its first record (`audit.0000000000000001.jsonl`), so that names sort as records do.
 */
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'

/** Digits of a record's number in a file name: those of the largest safe integer. */
const SEQ_DIGITS = 16

/** The name that a file gets when it is rotated. @param firstSeq the number of its first record */
export function rotatedFile(file: string, firstSeq: number): string {
  const { stem, extension } = parts(file)
  const seq = String(firstSeq).padStart(SEQ_DIGITS, '0')
  return join(dirname(file), `${stem}.${seq}${extension}`)
}

/** The number of a rotated file's first record. */
export function seqOfRotated(path: string): number {
  const { stem } = parts(path)
  return Number(stem.slice(-SEQ_DIGITS))
}

/** The rotated files of a log that are still there, the oldest first. @throws the file system's error */
export function rotatedFiles(file: string): readonly string[] {
  const { stem, extension } = parts(file)
  return namesIn(dirname(file))
    .filter(
      (name) =>
        name.length === stem.length + 1 + SEQ_DIGITS + extension.length &&
        name.startsWith(`${stem}.`) &&
        name.endsWith(extension) &&
        /^\d+$/.test(name.slice(stem.length + 1, stem.length + 1 + SEQ_DIGITS)),
    )
    .sort()
    .map((name) => join(dirname(file), name))
}

/** All files of a log that are there, in the order of their records. @throws the file system's error */
export function auditFiles(file: string): readonly string[] {
  const rotated = rotatedFiles(file)
  return existsSync(file) ? [...rotated, file] : rotated
}

/** None where there is no such folder. */
function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function parts(file: string): { readonly stem: string; readonly extension: string } {
  const extension = extname(file)
  return { stem: basename(file, extension), extension }
}
