/** etcd's JSON over WebSockets, as pages ask for it. */
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startGuarded } from './guarded.ts'
import { type Harness, startHarness } from './harness.ts'
import { base64, http, post } from './http-client.ts'
import { isInstalled, startRealEtcd } from './real-etcd.ts'
import { webSocket, type WebSocketClient, type WebSocketOptions } from './web-socket-client.ts'

const NORMAL_CLOSURE = 1_000
const GOING_AWAY = 1_001
const INVALID_TEXT = 1_007
const MESSAGE_TOO_BIG = 1_009

let harness: Harness
beforeAll(async () => {
  harness = await startHarness()
})
afterAll(() => harness[Symbol.asyncDispose]())

const open = (path: string, options?: WebSocketOptions): Promise<WebSocketClient> =>
  webSocket(harness.address, path, options)
const creating = (key: string): string => JSON.stringify({ create_request: { key: base64(key) } })
/** Between two messages there is a line break, which no string may have in it. */
const halves = (text: string): [string, string] => {
  const at = text.indexOf(':') + 1
  return [text.slice(0, at), text.slice(at)]
}
const put = (key: string, value = ''): Promise<unknown> =>
  post(harness.address, '/v3/kv/put', { key: base64(key), value: base64(value) })

describe('a stream', () => {
  test('of watchers takes requests and tells what happens, one message for each', async () => {
    using socket = await open('/v3/watch')
    socket.send(creating('w'))
    expect(await socket.next()).toMatchObject({ result: { created: true } })
    await put('w', '1')
    expect(await socket.next()).toMatchObject({
      result: { events: [{ kv: { key: base64('w'), value: base64('1') } }] },
    })
    socket.send(creating('x'))
    expect(await socket.next()).toMatchObject({ result: { created: true, watch_id: '1' } })
    socket.send('{"cancel_request":{"watch_id":1}}')
    expect(await socket.next()).toMatchObject({ result: { canceled: true, watch_id: '1' } })
  })

  test('of keep-alives answers each in turn', async () => {
    const { json } = await post(harness.address, '/v3/lease/grant', { TTL: 30 })
    using socket = await open('/v3/lease/keepalive')
    for (const [ID, more] of [
      [json['ID'], { TTL: '30' }],
      ['99', {}],
    ] as const) {
      socket.send(JSON.stringify({ ID }))
      expect(await socket.next()).toEqual({ result: { header: expect.anything(), ID, ...more } })
    }
  })

  test('is one text: a request in pieces, and several in a message', async () => {
    using socket = await open('/v3/watch')
    const [first, rest] = halves(creating('a'))
    socket.send(first)
    socket.send(Buffer.from(`${rest} ${creating('b')}`))
    expect(await socket.next()).toMatchObject({ result: { created: true } })
    expect(await socket.next()).toMatchObject({ result: { created: true, watch_id: '1' } })
  })

  test('of answers to one request ends after the last of them', async () => {
    using socket = await open('/v3/maintenance/snapshot')
    socket.send('{}')
    expect(await socket.next()).toMatchObject({ result: { blob: expect.any(String) } })
    expect(await socket.closed).toBe(NORMAL_CLOSURE)
  })

  test('goes with its client', async () => {
    const socket = await open('/v3/watch')
    socket.send(creating('w'))
    await socket.next()
    socket.close()
    await expect.poll(() => harness.stateMachine.watchCounts().streams).toBe(0)
    expect(await socket.closed).toBe(1_005)
  })
})

describe('a call with one answer', () => {
  test('is answered as over HTTP, once', async () => {
    await put('one', '1')
    using socket = await open('/v3/kv/range')
    const request = JSON.stringify({ key: base64('one') })
    socket.send(`${request}${request}`)
    socket.send(request)
    const answer = await http(harness.address, '/v3/kv/range', { body: request })
    expect(await socket.next()).toEqual(JSON.parse(answer.body))
    expect(await socket.closed).toBe(NORMAL_CLOSURE)
    await expect(socket.next()).rejects.toThrow('closed')
  })

  test('is found where etcd 3.3 had it', async () => {
    using socket = await open('/v3beta/kv/range')
    socket.send(JSON.stringify({ key: base64('one') }))
    expect(await socket.next()).toMatchObject({ header: expect.anything() })
  })
})

describe('a refusal is the last message', () => {
  test.each([
    ['/v3/kv/range', '{}', 3, 'etcdserver: key is not provided'],
    ['/v3/kv/range', 'x', 3, 'invalid JSON'],
    ['/v3/kv/range', '[]', 3, 'RangeRequest must be an object, not a list'],
    ['/v3/watch', 'x', 3, 'invalid JSON'],
    [
      '/v3/watch',
      '{"create_request":7}',
      3,
      'create_request: WatchCreateRequest must be an object, not number',
    ],
    ['/v3/nowhere', '{}', 5, 'Not Found'],
  ])('%s %s: %i', async (path, body, code, message) => {
    using socket = await open(path)
    socket.send(body)
    expect(await socket.next()).toMatchObject({ error: message, code, message })
    expect(await socket.closed).toBe(NORMAL_CLOSURE)
  })

  test('in the shape of streams, if it is not the first one', async () => {
    using socket = await open('/v3/watch')
    socket.send(creating('w'))
    await socket.next()
    socket.send('x')
    expect(await socket.next()).toMatchObject({ error: { code: 3, grpc_code: 3, http_code: 400 } })
    expect(await socket.closed).toBe(NORMAL_CLOSURE)
  })
})

describe('what the client is', () => {
  test('says its header, or the protocol after Bearer', async () => {
    await using guarded = await startGuarded()
    const { ann } = guarded.tokens
    const asked = async (options?: WebSocketOptions): Promise<unknown> => {
      using socket = await webSocket(guarded.address, '/v3/kv/range', options)
      socket.send(JSON.stringify({ key: base64('k') }))
      return { protocol: socket.protocol, ...(await socket.next()) }
    }
    const answered = { header: expect.anything() }
    expect(await asked({ headers: { authorization: ann } })).toMatchObject(answered)
    expect(await asked({ headers: { authorization: `Bearer ${ann}` } })).toMatchObject(answered)
    expect(await asked({ protocols: ['Bearer', ann] })).toMatchObject({
      ...answered,
      protocol: 'Bearer',
    })
    // What a browser of old sends has no space in it.
    const headers = { 'sec-websocket-protocol': `Bearer,${ann}` }
    await expect(asked({ headers, protocols: [] })).rejects.toThrow('subprotocol')
    expect(await asked({ protocols: ['Bearer', 'nobody'] })).toMatchObject({
      code: 16,
      message: 'etcdserver: invalid auth token',
    })
    expect(await asked()).toMatchObject({ code: 3, message: 'etcdserver: user name is empty' })
  })

  test('may be a page of these origins only, if they are named', async () => {
    await using strict = await startHarness({
      corsOrigins: ['https://a.example'],
      hostWhitelist: ['127.0.0.1'],
    })
    const from = (headers: Record<string, string>): Promise<WebSocketClient> =>
      webSocket(strict.address, '/v3/watch', { headers })
    using allowed = await from({ origin: 'https://a.example' })
    allowed.send(creating('w'))
    expect(await allowed.next()).toMatchObject({ result: { created: true } })
    using program = await from({})
    program.send(creating('w'))
    expect(await program.next()).toMatchObject({ result: { created: true } })
    await expect(from({ origin: 'https://b.example' })).rejects.toThrow('403')
    await expect(from({ host: 'rebound.example' })).rejects.toThrow('421')
  })
})

describe('what a client can make the server keep', () => {
  test('is one request of the largest size', async () => {
    await using small = await startHarness({ limits: { maxRequestBytes: 1 } })
    const part = ' '.repeat(600_000)
    using whole = await webSocket(small.address, '/v3/watch')
    whole.send(`{"create_request":${part}${part}{}}`)
    expect(await whole.closed).toBe(MESSAGE_TOO_BIG)
    using pieces = await webSocket(small.address, '/v3/watch')
    pieces.send(`{"create_request":${part}`)
    pieces.send(part)
    expect(await pieces.next()).toMatchObject({
      code: 8,
      message: expect.stringContaining('received message larger than max'),
    })
    expect(await pieces.closed).toBe(NORMAL_CLOSURE)
  })

  test('is bounded if it does not read', async () => {
    await using small = await startHarness({ limits: { maxWatchQueueBytes: 10_000 } })
    using socket = await webSocket(small.address, '/v3/watch')
    socket.send(creating('w'))
    await socket.next()
    socket.pause()
    const value = 'A'.repeat(300_000)
    const behind = (): number => small.stateMachine.watchCounts().behind
    // Until the buffers of the system are full, nobody knows that the client does not read.
    for (let i = 0; i < 200 && behind() === 0; i++) await small.server.client.put('w', value)
    expect(behind()).toBe(1)
    socket[Symbol.dispose]()
    await expect.poll(() => small.stateMachine.watchCounts().streams).toBe(0)
  })

  test('is nothing if it is no text', async () => {
    using socket = await open('/v3/watch')
    socket.sendAsText(Uint8Array.of(0x7b, 0xff, 0x7d))
    expect(await socket.closed).toBe(INVALID_TEXT)
  })
})

describe('a server that stops', () => {
  test('ends streams, lets calls come to their end, and sends away who has asked for nothing', async () => {
    const stopping = await startHarness({ shutdownTimeoutMs: 60_000 })
    using watch = await webSocket(stopping.address, '/v3/watch')
    watch.send(creating('w'))
    await watch.next()
    using idle = await webSocket(stopping.address, '/v3/kv/range')
    using running = await webSocket(stopping.address, '/v3/kv/put')
    stopping.node.hold()
    running.send(JSON.stringify({ key: base64('k') }))
    await stopping.node.holding(1)
    const stopped = stopping[Symbol.asyncDispose]()
    expect(await watch.next()).toMatchObject({
      error: { code: 14, message: 'etcdserver: server stopped' },
    })
    expect(await watch.closed).toBe(NORMAL_CLOSURE)
    expect(await idle.closed).toBe(GOING_AWAY)
    stopping.node.release()
    expect(await running.next()).toMatchObject({ header: expect.anything() })
    expect(await running.closed).toBe(NORMAL_CLOSURE)
    await stopped
  })
})

describe('who asks for something else than a WebSocket', () => {
  /** The status and the rest of what the server says to these bytes before it closes. */
  async function answerTo(lines: readonly string[], body = ''): Promise<string> {
    const [host = '', port = ''] = harness.address.split(':')
    const socket = connect(Number(port), host)
    const head = [...lines, 'Host: x', `Content-Length: ${body.length}`]
    socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    let answer = ''
    for await (const chunk of socket) {
      answer += String(chunk)
      // A connection that stays is one that serves further requests.
      if (/\r\n\r\n[^]/.test(answer)) break
    }
    return answer
  }

  test('is answered as if he had not, body and all', async () => {
    const offer = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMA']
    const body = JSON.stringify({ key: base64('h2c'), value: base64('1') })
    const answer = await answerTo(['POST /v3/kv/put HTTP/1.1', ...offer], body)
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/)
    expect(answer).toContain('"revision"')
  })

  test('finds no WebSocket beside the gateway, nor without it', async () => {
    await expect(open('/version')).rejects.toThrow('200')
    await using bare = await startHarness({ jsonGateway: false })
    await expect(webSocket(bare.address, '/v3/watch')).rejects.toThrow('404')
  })

  test('and does not know how, is told that it is a bad request', async () => {
    const offer = ['GET /v3/watch HTTP/1.1', 'Connection: Upgrade', 'Upgrade: websocket']
    expect(await answerTo(offer)).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/)
  })
})

test.runIf(isInstalled('etcd'))(
  'etcd says the same',
  async () => {
    await using etcd = await startRealEtcd()
    const questions: readonly (readonly [path: string, ...messages: string[]])[] = [
      ['/v3/watch', creating('w'), '{"cancel_request":{"watch_id":0}}'],
      ['/v3/watch', ...halves(creating('a'))],
      ['/v3/lease/keepalive', '{"ID":"1"}'],
      ['/v3/kv/range', JSON.stringify({ key: base64('absent') })],
      ['/v3/kv/range', '{}'],
    ]
    for (const [path, ...messages] of questions) {
      const said = async (address: string): Promise<unknown[]> => {
        using socket = await webSocket(address, path)
        const answers: unknown[] = []
        for (const message of messages) {
          socket.send(message)
          // Half a request has no answer.
          if (message.endsWith('}')) answers.push(withoutIds(await socket.next()))
        }
        return answers
      }
      expect(await said(harness.address), path).toEqual(await said(etcd.address))
    }
  },
  40_000,
)

function withoutIds(answer: object): unknown {
  return JSON.parse(JSON.stringify(answer), (name, value: unknown) =>
    name === 'header' ? Object.keys(value as object) : value,
  )
}
