// The workbook, in the portal under the component's Workbooks.
param location string
param tags object
param componentId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(componentId, 'relay')
  location: location
  tags: union(tags, { 'hidden-title': 'Relay' })
  kind: 'shared'
  properties: {
    displayName: 'Relay'
    category: 'workbook'
    sourceId: componentId
    version: 'Notebook/1.0'
    serializedData: replace(loadTextContent('relay.workbook.json'), '__COMPONENT__', componentId)
  }
}
