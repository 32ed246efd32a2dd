import { expect, test } from 'vitest'
import { formatPlace, parseAddress, type Place } from '../../src/transport/address.ts'

test.each([
  ['node-1.example:2380', { host: 'node-1.example', port: 2380, secure: null }],
  ['127.0.0.1:1', { host: '127.0.0.1', port: 1, secure: null }],
  ['[::1]:65535', { host: '::1', port: 65_535, secure: null }],
  ['http://10.0.0.1:2380', { host: '10.0.0.1', port: 2380, secure: false }],
  ['https://[fe80::1]:2380/', { host: 'fe80::1', port: 2380, secure: true }],
  ['[fe80::1%eth0]:2380', { host: 'fe80::1%eth0', port: 2380, secure: null }],
  ['[::ffff:10.0.0.1]:2380', { host: '::ffff:10.0.0.1', port: 2380, secure: null }],
  ['unix:///run/peer.sock', { path: '/run/peer.sock', secure: false }],
  ['unixs://peer:2380', { path: 'peer:2380', secure: true }],
])('%s is an address', (text, address) => {
  expect(parseAddress(text)).toEqual(address)
})

test.each([
  '',
  'host',
  ':2380',
  'host:',
  'host:0',
  'host:65536',
  'host:1e3',
  'host:2380/path',
  'ftp://host:2380',
  'http://host',
  'user@host:1',
  '::1:2380',
  '[host]:1',
  '[1::2::3]:1',
  '[:: 1]:1',
  '[::1%]:1',
  '[::1:2380',
  'a b:1',
  ' host:1',
  'unix://',
  'unix://a b',
  'unix:/run/peer.sock',
  'host:1\n',
])('%j is none', (text) => {
  expect(parseAddress(text)).toBeNull()
})

test.each<[string, Place]>([
  ['node-1.example:2380', { host: 'node-1.example', port: 2380 }],
  ['[fe80::1%eth0]:2380', { host: 'fe80::1%eth0', port: 2380 }],
  ['unix:///run/peer.sock', { path: '/run/peer.sock' }],
])('%s is how a place is written', (text, place) => {
  expect(formatPlace(place)).toBe(text)
  expect(parseAddress(text)).toMatchObject(place)
})
