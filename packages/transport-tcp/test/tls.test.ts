import { createServer } from 'node:http'
import { get } from 'node:https'
import { expect, test } from 'vitest'
import { certify } from '@coracle/tooling-certificates'
import { call, hello, refusals, startNode, until } from './nodes.ts'

const identity = certify('b', '127.0.0.1')
const tls = { ...identity, ca: identity.cert }

test('a node that speaks TLS turns away a caller that speaks plainly', async () => {
  const node = await startNode('b', { tls })
  const { socket, closed } = call(node.port)
  socket.resume()
  socket.write(hello())
  await closed
  expect(refusals(node)).toEqual([expect.stringContaining('TLS failed')])
})

test('a node tells of a caller whose certificate nobody vouches for', async () => {
  const node = await startNode('b', { tls })
  const stranger = await startNode('a', {
    tls: { ...certify('stranger', '127.0.0.1'), ca: tls.ca },
  })
  stranger.transport.setPeers([{ id: 'b', address: node.address }])
  await until(() => refusals(node).length > 0)
  expect(node.received).toEqual([])
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
