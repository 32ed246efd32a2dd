import { createServer } from 'node:http'
import { get } from 'node:https'
import { status } from '@grpc/grpc-js'
import { expect, test } from 'vitest'
import { certify } from '@coracle/tooling-certificates'
import { call, hello, startNode } from './nodes.ts'

const identity = certify('b', '127.0.0.1')
const tls = { ...identity, ca: identity.cert }

test('a node that speaks TLS turns away a caller that speaks plainly', async () => {
  const node = await startNode('b', { tls })
  const { code } = await call(node, 'messages', hello())
  expect(code).toBe(status.UNAVAILABLE)
})

test('a port that speaks TLS carries HTTP, too', async () => {
  const server = createServer((_request, response) => response.end('hello'))
  const node = await startNode('b', {
    tls,
    onHttp: (socket) => server.emit('connection', socket),
  })
  const [host = '', port = ''] = node.address.split(':')
  const answer = await new Promise<string>((resolve, reject) => {
    get({ host, port, ...tls, agent: false }, (response) => {
      response.on('data', (chunk: Uint8Array) => resolve(new TextDecoder().decode(chunk)))
    }).on('error', reject)
  })
  expect(answer).toBe('hello')
  server.closeAllConnections()
})
