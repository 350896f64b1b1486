"""Documents made from the table of operations: OpenAPI, AsyncAPI and the page that shows them."""
