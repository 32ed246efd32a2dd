import { describe, expect, test } from 'vitest'
import { openScreen } from '../src/launcher/screen.ts'
import { renderTable, type Row } from '../src/launcher/table.ts'

function output(isTTY: boolean): { stream: NodeJS.WriteStream; text: () => string } {
  let text = ''
  const stream = { isTTY, write: (chunk: string) => (text += chunk) }
  return { stream: stream as unknown as NodeJS.WriteStream, text: () => text }
}

describe('on a pipe', () => {
  test('the table is shown once, and then only lines', () => {
    const { stream, text } = output(false)
    const screen = openScreen(stream)
    screen.show(['one'])
    screen.show(['two'])
    screen.say('a change')
    screen.leave()
    expect(text()).toBe('one\na change\n')
  })
})

describe('on a terminal', () => {
  test('the table is replaced where it stands, and lines come above it', () => {
    const { stream, text } = output(true)
    const screen = openScreen(stream)
    screen.show(['a', 'b'])
    screen.show(['a', 'b'])
    screen.say('a change')
    screen.show(['c'])
    screen.leave()
    screen.say('the end')
    expect(text()).toBe('a\nb\n\r\x1b[2A\x1b[0Ja change\na\nb\n\r\x1b[2A\x1b[0Jc\n\rthe end\n')
  })
})

test('the table shows every member, also one that does not answer', () => {
  const up: Row = { name: 'infra1', role: 'leader', term: 2, revision: 10, pid: 7, url: 'http://a' }
  const down: Row = {
    name: 'infra2',
    role: 'down',
    term: null,
    revision: null,
    pid: null,
    url: 'u',
  }
  // oxlint-disable-next-line no-control-regex -- colours
  const plain = renderTable([up, down]).map((line) => line.replaceAll(/\x1b\[\d+m/g, ''))
  expect(plain).toEqual([
    '  MEMBER  ROLE    TERM  REVISION  CLIENT URL  PID',
    '  infra1  leader  2     10        http://a    7',
    '  infra2  down    -     -         u           -',
  ])
})
