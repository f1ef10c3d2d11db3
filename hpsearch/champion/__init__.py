"""Using a finished study: predictions, exports, the checked file behind them."""
