"""The few data types of Jaeger's thrift interface that applications read; there is no thrift behind them."""
