/** KILL, which clients send on a new connection to end a statement of their own on another. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MysqlAnalyser } from '../../../protocols/mysql/analyser.ts'
import { cancelKeyOf, readKill } from '../../../protocols/mysql/kill.ts'
import type { LexerRules } from '../../../protocols/mysql/lexer/lexer.ts'
import { type Conversation, okReply, openConversation } from './conversation.ts'
import { CATALOG } from './known-texts.ts'
import { command, commandsIn, inWords, query, uint32 } from './packets.ts'

const MARIADB: LexerRules = { flavour: 'mariadb', versionNumber: 101119 }
const MYSQL: LexerRules = { flavour: 'mysql', versionNumber: 90704 }

/** The session of connection 6 is of the same run. */
function open(): Conversation {
  const talk = openConversation()
  talk.analyser.current = new MysqlAnalyser(CATALOG)
  talk.session.ownSessions?.((key) => key === cancelKeyOf(6))
  return talk
}

describe('a KILL', () => {
  const understood = {
    'kill 5': 'session',
    'KILL QUERY 5': 'statement',
    'kill connection 5;': 'session',
    '/* by a tool */ kill  query\n5 -- now': 'statement',
  } as const
  for (const [text, what] of Object.entries(understood)) {
    test(`is understood: ${JSON.stringify(text)}`, () => {
      for (const rules of [MARIADB, MYSQL]) assert.deepEqual(readKill(text, rules), { key: 'mysql 5', what })
    })
  }

  test('is understood with the words of MariaDB, on MariaDB', () => {
    assert.deepEqual(readKill('kill hard query 5', MARIADB), { key: 'mysql 5', what: 'statement' })
    assert.deepEqual(readKill('kill soft 5', MARIADB), { key: 'mysql 5', what: 'session' })
    assert.equal(readKill('kill hard query 5', MYSQL), undefined)
  })

  for (const text of [
    'kill',
    'kill query',
    'kill 5 6',
    'kill 5; kill 6',
    'kill -5',
    'kill 5.0',
    'kill 0x5',
    "kill '5'",
    'kill 5e0',
    'kill @a',
    'kill query id 5',
    'kill user root',
    'kill connection_id()',
    'kill (select 5)',
    'kill 99999999999',
    'select 5',
  ]) {
    test(`is not understood: ${text}`, () => {
      for (const rules of [MARIADB, MYSQL]) assert.equal(readKill(text, rules), undefined)
    })
  }
})

describe('a session', () => {
  for (const [what, bytes, expected] of [
    ['KILL QUERY', query('kill query 6'), 'statement'],
    ['KILL', query('kill 6'), 'session'],
    ['COM_PROCESS_KILL', command(12, uint32(6)), 'session'],
  ] as const) {
    test(`of the same run is killed by ${what}, and the server answers something harmless`, () => {
      const talk = open()
      talk.client(bytes)
      assert.deepEqual(talk.statements[0]?.analysis, { outcome: 'accesses', action: 'session', accesses: [] })
      assert.deepEqual(commandsIn(talk.toServer()), ['3 DO 0'])
      assert.deepEqual(talk.session.takeKill?.(), { key: 'mysql 6', what: expected })
      assert.equal(talk.session.takeKill?.(), undefined)
      talk.server(okReply(3))
      assert.deepEqual(inWords(talk.toClient()), ['1:OK 3'])
    })
  }

  test('of another run is not, and the attempt is a hop', () => {
    for (const bytes of [
      query('kill query 7'),
      query('kill 7'),
      command(12, uint32(7)),
      query('kill user x'),
    ]) {
      const talk = open()
      talk.client(bytes)
      const { analysis } = talk.statements[0] ?? {}
      assert.ok(analysis?.outcome === 'hop' && analysis.hop === 'cross_run')
      assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR 1095 HY000You are not owner of thread/)
      assert.equal(talk.toServer().length, 0)
      assert.equal(talk.session.takeKill?.(), undefined)
    }
  })

  test('knows none of the same run until it is told', () => {
    const talk = openConversation()
    talk.analyser.current = new MysqlAnalyser(CATALOG)
    talk.client(query('kill query 6'))
    assert.equal(talk.statements[0]?.analysis.outcome, 'hop')
  })

  test('cannot have a KILL prepared, by either protocol', () => {
    for (const bytes of [command(22, 'kill query 6'), query("prepare s from 'kill query 6'")]) {
      const talk = open()
      talk.client(bytes)
      assert.equal(talk.statements[0]?.analysis.outcome, 'hop')
      assert.equal(talk.toServer().length, 0)
    }
  })

  test('kills nothing by a KILL that was refused for another reason', () => {
    const talk = openConversation({ denies: () => true })
    talk.analyser.current = new MysqlAnalyser(CATALOG)
    talk.session.ownSessions?.(() => true)
    talk.client(query('kill 6'))
    assert.match(inWords(talk.toClient())[0] ?? '', /^1:ERR/)
    assert.equal(talk.session.takeKill?.(), undefined)
  })
})
