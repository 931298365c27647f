import type { Line } from './row.ts'

/** What servers say of `STORE` and `STOREDIST`, which they look for from `from` on. */
function georadiusKeys(from: number): readonly string[] {
  const target = (word: string) => `OW+update@kw(${word},${from})/r(0,1,0)`
  return ['RO+access@i1/r(0,1,0)', target('STORE'), target('STOREDIST')]
}

/** Geospatial indexes. */
export const GEO: readonly Line[] = [
  ['geoadd', -5, 'W 1', 'write geo slow'],
  ['geodist', -4, 'R 1', 'read geo slow'],
  ['geohash', -2, 'R 1', 'read geo slow'],
  ['geopos', -2, 'R 1', 'read geo slow'],
  ['georadius', -6, '', 'write geo slow', { parser: 'georadius', serverKeys: georadiusKeys(6) }],
  ['georadius_ro', -6, 'R 1', 'read geo slow'],
  [
    'georadiusbymember',
    -5,
    '',
    'write geo slow',
    { parser: 'georadiusbymember', serverKeys: georadiusKeys(5) },
  ],
  ['georadiusbymember_ro', -5, 'R 1', 'read geo slow'],
  ['geosearch', -7, 'R 1', 'read geo slow'],
  ['geosearchstore', -8, 'W 1; R 2', 'write geo slow'],
]
